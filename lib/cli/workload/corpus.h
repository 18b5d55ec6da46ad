#ifndef FARFAULT_LIB_CLI_WORKLOAD_CORPUS_H_
#define FARFAULT_LIB_CLI_WORKLOAD_CORPUS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace farfault {

/// Text of real files of this machine, cut into passages of at most `kMaxPassage` bytes. Immutable.
class Corpus {
 public:
  static constexpr std::size_t kMinPassage = 512;
  static constexpr std::size_t kMaxPassage = 16 << 10;

  /// Reads text files below `roots` in an order that `seed` shuffles until it has `max_bytes`, or has opened some
  /// thousand. Where there is little text, the bytes of the running executable are added, so that there is always some.
  /// kNotFound when there is nothing at all to read.
  static absl::StatusOr<Corpus> Collect(const std::vector<std::string>& roots, std::size_t max_bytes,
                                        std::uint64_t seed);
  /// From where a Debian machine keeps text: documentation, headers, scripts.
  static absl::StatusOr<Corpus> CollectFromMachine(std::size_t max_bytes, std::uint64_t seed);

  std::size_t passages() const { return passages_.size(); }
  std::string_view passage(std::size_t index) const {
    return std::string_view(text_).substr(passages_[index].offset, passages_[index].length);
  }
  std::size_t files() const { return files_; }
  std::size_t bytes() const { return text_.size(); }

 private:
  struct Passage {
    std::size_t offset = 0;
    std::size_t length = 0;
  };

  bool AddFile(const std::string& path, std::size_t max_bytes, bool only_text);
  void CutIntoPassages(std::size_t begin);

  std::string text_;
  std::vector<Passage> passages_;
  std::size_t files_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_CORPUS_H_
