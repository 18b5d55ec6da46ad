#ifndef FARFAULT_LIB_CLI_WORKLOAD_FILE_WALK_H_
#define FARFAULT_LIB_CLI_WORKLOAD_FILE_WALK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/util/splitmix.h"

namespace farfault {

/// Files below some directories, in an order that the seed alone decides. A directory is read only when files from it
/// are due: where the file system is remote, to read them all takes minutes. One thread.
class FileWalk {
 public:
  /// At first no directory gives more than this; the rest comes when all have been read.
  static constexpr std::size_t kFilesPerDirectory = 16;

  FileWalk(std::vector<std::string> roots, std::uint64_t seed) : directories_(std::move(roots)), random_(seed) {}

  /// The next file; nothing when there are no more.
  std::optional<std::string> Next();
  std::size_t directories_read() const { return directories_read_; }

 private:
  void ReadDirectory(const std::string& directory);
  void Shuffle(std::vector<std::string>& paths);

  std::vector<std::string> directories_;  // Yet to be read.
  std::vector<std::string> files_;        // The next ones, the last first.
  std::vector<std::string> rest_;
  SplitMix64 random_;
  std::size_t directories_read_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_FILE_WALK_H_
