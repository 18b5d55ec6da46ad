#include "lib/cli/workload/corpus.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "lib/cli/workload/file_walk.h"

namespace farfault {
namespace {

// Opening more would take longer than it makes the index more interesting; documents come in several editions instead.
constexpr std::size_t kMaxFiles = 8192;
constexpr std::size_t kMaxFileBytes = 512 << 10;
constexpr std::size_t kLittleText = 1 << 20;

constexpr std::size_t kLookedAt = 4096;
bool LooksLikeText(std::string_view text) { return text.find('\0') == std::string_view::npos; }

}  // namespace

bool Corpus::AddFile(const std::string& path, std::size_t max_bytes, bool only_text) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  const absl::Cleanup closer = [fd] { close(fd); };
  const std::size_t begin = text_.size();
  text_.resize(begin + std::min(kMaxFileBytes, max_bytes));
  std::size_t filled = begin;
  bool usable = true;
  // The beginning tells whether the rest is worth reading.
  for (std::size_t end = std::min(begin + kLookedAt, text_.size()); usable && filled < end;) {
    const ssize_t got = read(fd, text_.data() + filled, end - filled);
    if (got <= 0) break;
    if (filled == begin) {
      const auto looked_at = std::string_view(text_).substr(begin, static_cast<std::size_t>(got));
      usable = !only_text || LooksLikeText(looked_at);
      end = text_.size();
    }
    filled += static_cast<std::size_t>(got);
  }
  text_.resize(filled);
  if (!usable || filled - begin < kMinPassage) {
    text_.resize(begin);
    return false;
  }
  CutIntoPassages(begin);
  ++files_;
  return true;
}

void Corpus::CutIntoPassages(std::size_t begin) {
  while (text_.size() - begin >= kMinPassage) {
    const std::size_t length = std::min(kMaxPassage, text_.size() - begin);
    passages_.push_back({begin, length});
    begin += length;
  }
  text_.resize(begin);
}

absl::StatusOr<Corpus> Corpus::Collect(const std::vector<std::string>& roots, std::size_t max_bytes,
                                       std::uint64_t seed) {
  Corpus corpus;
  corpus.text_.reserve(max_bytes + kMaxFileBytes);
  FileWalk walk(roots, seed);
  for (std::size_t opened = 0; opened < kMaxFiles && corpus.bytes() + kMinPassage <= max_bytes; ++opened) {
    const std::optional<std::string> path = walk.Next();
    if (!path) break;
    corpus.AddFile(*path, max_bytes - corpus.bytes(), /*only_text=*/true);
  }
  if (corpus.bytes() < std::min(kLittleText, max_bytes)) {
    std::error_code error;
    const std::string executable = std::filesystem::read_symlink("/proc/self/exe", error).string();
    corpus.AddFile(executable, max_bytes, /*only_text=*/false);
  }
  if (corpus.passages() == 0) {
    return absl::NotFoundError("no file of this machine could be read to build an index from: looked below " +
                               (roots.empty() ? std::string("nothing") : roots.front()) + " and at /proc/self/exe");
  }
  return corpus;
}

absl::StatusOr<Corpus> Corpus::CollectFromMachine(std::size_t max_bytes, std::uint64_t seed) {
  return Collect(
      {"/usr/share", "/usr/include", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/python3.13", "/etc"},
      max_bytes, seed);
}

}  // namespace farfault
