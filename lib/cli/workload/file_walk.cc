#include "lib/cli/workload/file_walk.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace farfault {

void FileWalk::Shuffle(std::vector<std::string>& paths) {
  // Directory order differs from machine to machine; the seed alone is to decide.
  std::sort(paths.begin(), paths.end());
  for (std::size_t left = paths.size(); left > 1; --left) std::swap(paths[left - 1], paths[random_.Below(left)]);
}

void FileWalk::ReadDirectory(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> below;
  fs::directory_iterator it(directory, fs::directory_options::skip_permission_denied, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    std::error_code entry_error;
    // The directory says what its entries are; to ask each of them takes minutes where the file system is remote.
    if (it->is_symlink(entry_error)) continue;
    if (it->is_regular_file(entry_error)) files_.push_back(it->path().string());
    if (it->is_directory(entry_error)) below.push_back(it->path().string());
  }
  ++directories_read_;
  std::sort(below.begin(), below.end());
  directories_.insert(directories_.end(), below.begin(), below.end());
  Shuffle(files_);
  if (files_.size() <= kFilesPerDirectory) return;
  rest_.insert(rest_.end(), files_.begin() + kFilesPerDirectory, files_.end());
  files_.resize(kFilesPerDirectory);
}

std::optional<std::string> FileWalk::Next() {
  while (files_.empty() && !directories_.empty()) {
    std::swap(directories_[random_.Below(directories_.size())], directories_.back());
    const std::string directory = std::move(directories_.back());
    directories_.pop_back();
    ReadDirectory(directory);
  }
  if (files_.empty()) {
    files_ = std::exchange(rest_, {});
    Shuffle(files_);
  }
  if (files_.empty()) return std::nullopt;
  std::string next = std::move(files_.back());
  files_.pop_back();
  return next;
}

}  // namespace farfault
