#include "lib/cli/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "absl/status/status.h"

namespace farfault {

absl::StatusOr<std::string> Sha256(std::span<const std::byte> bytes, const std::function<void(std::size_t)>& progress) {
  constexpr std::size_t kPiece = 16 << 20;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  bool good = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (std::size_t done = 0; good && done < bytes.size(); done += kPiece) {
    if (progress) progress(done);
    const std::span<const std::byte> piece = bytes.subspan(done, std::min(kPiece, bytes.size() - done));
    good = EVP_DigestUpdate(context.get(), piece.data(), piece.size()) == 1;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  good = good && EVP_DigestFinal_ex(context.get(), digest.data(), &length) == 1;
  if (!good) return absl::InternalError("OpenSSL cannot compute a SHA-256; check its configuration (openssl.cnf)");
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace farfault
