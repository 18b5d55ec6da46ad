#include "lib/cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

namespace fs = std::filesystem;

// As many as the kernel follows.
constexpr int kMostLinks = 40;

/// `there`: it is a file that cannot be written, not the folder that it would be in.
std::string_view RemedyFor(int error, bool there) {
  switch (error) {
    case ENOENT:
      return "make its folder first (mkdir -p), or name a file in one that is there";
    case ENOTDIR:
      return "a part of its path is a file, not a folder: name a file in a folder that is there";
    case EISDIR:
      return "name a file in that folder";
    case EACCES:
    case EPERM:
      return there ? "let this user write it (chmod, chown), or name another file"
                   : "name a file in a folder where this user may write";
    case EROFS:
      return "name a file on a file system that is mounted for writing";
    case ENOSPC:
    case EDQUOT:
      return "make room there, or name a file on another file system";
    default:
      return "name another file";
  }
}

absl::Status Refusal(std::string_view what, int error, bool there) {
  return absl::InvalidArgumentError(
      fmt::format("{} cannot be written: {}; {}", what, std::strerror(error), RemedyFor(error, there)));
}

std::string Quoted(const std::string& path) { return fmt::format("\"{}\"", path); }

bool IsThere(const std::string& path) {
  struct stat about{};
  return stat(path.c_str(), &about) == 0;
}

int ErrorOf(int fd) { return UniqueFd(fd).valid() ? 0 : errno; }

int ErrorOfAccess(const std::string& path, int rights) {
  return faccessat(AT_FDCWD, path.c_str(), rights, AT_EACCESS) == 0 ? 0 : errno;
}

int TryToCreate(const std::string& path) {
  const int error = ErrorOf(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (error == 0) unlink(path.c_str());
  return error;
}

/// Of a link to what is not there yet, `path` becomes what it points to: that is what would be made.
int TryToWrite(std::string& path) {
  for (int links = 0; links < kMostLinks; ++links) {
    struct stat about{};
    if (stat(path.c_str(), &about) == 0) {
      if (S_ISDIR(about.st_mode)) return EISDIR;
      // Opening a FIFO waits for its reader.
      if (!S_ISREG(about.st_mode)) return ErrorOfAccess(path, W_OK);
      return ErrorOf(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    }
    if (errno != ENOENT) return errno;
    const int error = TryToCreate(path);
    if (error != EEXIST) return error;
    std::error_code no_link;
    const fs::path target = fs::read_symlink(path, no_link);
    // Otherwise another process has made it in this moment.
    if (!no_link) path = fs::path(path).parent_path() / target;
  }
  return ELOOP;
}

/// What is at `draft` already was left by a process that was killed: it gets out of the way where the folder allows it.
int TryToDraft(const std::string& draft) {
  struct stat about{};
  if (lstat(draft.c_str(), &about) != 0) return errno == ENOENT ? TryToCreate(draft) : errno;
  if (S_ISDIR(about.st_mode)) return EISDIR;
  const fs::path folder = fs::path(draft).parent_path();
  return ErrorOfAccess(folder.empty() ? "." : folder.string(), W_OK | X_OK);
}

}  // namespace

absl::Status NotWritable(const std::string& path, int error) { return Refusal(Quoted(path), error, IsThere(path)); }

absl::Status CheckWritable(const std::string& path) {
  std::string tried = path;
  const int error = TryToWrite(tried);
  if (error == 0) return absl::OkStatus();
  if (tried == path) return NotWritable(path, error);
  return Refusal(fmt::format("\"{}\", where the link \"{}\" points,", tried, path), error, IsThere(tried));
}

absl::Status CheckReplaceable(const std::string& path, const std::string& draft) {
  if (path.empty()) return NotWritable(path, ENOENT);
  struct stat about{};
  // A link to a folder is replaced like a file.
  if (lstat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode)) return NotWritable(path, EISDIR);
  const int error = TryToDraft(draft);
  if (error == 0) return absl::OkStatus();
  if (error == EISDIR) return NotWritable(draft, error);
  // The folder is what refuses, whether there is a file at `path` or not.
  return Refusal(Quoted(path), error, false);
}

absl::Status CheckUpdatable(const std::string& path, const std::string& draft) {
  struct stat about{};
  const bool usable = stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) &&
                      ErrorOf(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK)) == 0;
  return usable ? absl::OkStatus() : CheckReplaceable(path, draft);
}

}  // namespace farfault
