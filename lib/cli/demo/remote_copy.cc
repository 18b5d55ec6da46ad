#include "lib/cli/demo/remote_copy.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/escaping.h"

namespace farfault {
namespace {

constexpr std::size_t kPiece = 4096;

}  // namespace

absl::Status RemoteCopy::Update(std::span<const std::byte> memory) {
  told_.resize(memory.size());
  for (std::size_t at = 0; at < memory.size(); at += kPiece) {
    const std::size_t length = std::min(kPiece, memory.size() - at);
    if (std::memcmp(told_.data() + at, memory.data() + at, length) == 0) continue;
    std::memcpy(told_.data() + at, memory.data() + at, length);
    const std::string text =
        absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(told_.data() + at), length));
    if (absl::Status sent = link_.Send(kind_, {{"at", at}, {"bytes", text}}); !sent.ok()) return sent;
  }
  return absl::OkStatus();
}

absl::Status RemoteCopy::Apply(const nlohmann::json& line, std::span<std::byte> copy) {
  const std::size_t at = line["at"].get<std::size_t>();
  std::string bytes;
  const bool sound = absl::Base64Unescape(line["bytes"].get<std::string>(), &bytes);
  if (!sound || at > copy.size() || bytes.size() > copy.size() - at) {
    return absl::DataLossError(
        "the other host's bookkeeping makes no sense: are both of the same version of farfault?");
  }
  std::memcpy(copy.data() + at, bytes.data(), bytes.size());
  return absl::OkStatus();
}

}  // namespace farfault
