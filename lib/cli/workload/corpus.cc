#include "lib/cli/workload/corpus.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "lib/util/splitmix.h"

namespace farfault {
namespace {

constexpr std::size_t kMaxFiles = 200'000;
constexpr std::size_t kMaxFileBytes = 512 << 10;
constexpr std::size_t kLittleText = 1 << 20;

std::vector<std::string> FilesBelow(const std::vector<std::string>& roots) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths;
  for (const std::string& root : roots) {
    std::error_code error;
    fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, error);
    while (!error && it != fs::recursive_directory_iterator() && paths.size() < kMaxFiles) {
      std::error_code entry_error;
      // The directory says what its entries are; to ask each of them takes minutes where the file system is remote.
      if (!it->is_symlink(entry_error) && it->is_regular_file(entry_error)) paths.push_back(it->path().string());
      it.increment(error);
    }
  }
  // Directory order differs from machine to machine; the seed alone is to decide.
  std::sort(paths.begin(), paths.end());
  return paths;
}

void Shuffle(std::vector<std::string>& paths, std::uint64_t seed) {
  SplitMix64 random(seed);
  for (std::size_t left = paths.size(); left > 1; --left) std::swap(paths[left - 1], paths[random.Below(left)]);
}

bool LooksLikeText(std::string_view text) { return text.substr(0, 4096).find('\0') == std::string_view::npos; }

}  // namespace

bool Corpus::AddFile(const std::string& path, std::size_t max_bytes, bool only_text) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  const absl::Cleanup closer = [fd] { close(fd); };
  const std::size_t begin = text_.size();
  text_.resize(begin + std::min(kMaxFileBytes, max_bytes));
  std::size_t filled = begin;
  while (filled < text_.size()) {
    const ssize_t got = read(fd, text_.data() + filled, text_.size() - filled);
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text_.resize(filled);
  const bool usable =
      filled - begin >= kMinPassage && (!only_text || LooksLikeText(std::string_view(text_).substr(begin)));
  if (!usable) {
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
  std::vector<std::string> paths = FilesBelow(roots);
  Shuffle(paths, seed);
  for (const std::string& path : paths) {
    if (corpus.bytes() + kMinPassage > max_bytes) break;
    corpus.AddFile(path, max_bytes - corpus.bytes(), /*only_text=*/true);
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
