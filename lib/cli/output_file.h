#ifndef FARFAULT_LIB_CLI_OUTPUT_FILE_H_
#define FARFAULT_LIB_CLI_OUTPUT_FILE_H_

#include <string>

#include "absl/status/status.h"

// Files that are written when the work is done: whether they can be has to be known before it begins.
namespace farfault {

/// kInvalidArgument with the reason and what to do where no file can be written at `path`. Nothing is left there that
/// was not there before, and what is there stays as it is.
absl::Status CheckWritable(const std::string& path);

/// The same for a file that is written as `draft` and moved to `path`: what is there needs not to be writable.
absl::Status CheckReplaceable(const std::string& path, const std::string& draft);

/// The same for one that is gone on with where it is there and can be read and written.
absl::Status CheckUpdatable(const std::string& path, const std::string& draft);

/// The same text for a write that has failed with `error` (errno) all the same.
absl::Status NotWritable(const std::string& path, int error);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_OUTPUT_FILE_H_
