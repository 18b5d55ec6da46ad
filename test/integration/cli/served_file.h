#ifndef FARFAULT_TEST_INTEGRATION_CLI_SERVED_FILE_H_
#define FARFAULT_TEST_INTEGRATION_CLI_SERVED_FILE_H_

#include <cstddef>
#include <filesystem>
#include <string>

#include "test/support/command_process.h"

namespace farfault {

/// A file of random bytes that goes away with this object.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::size_t bytes, const std::string& name = "image");
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();
  std::string path() const { return path_; }
  const std::string& contents() const { return contents_; }
  std::string sha256() const;

 private:
  std::filesystem::path path_;
  std::string contents_;
};

/// The address that `farfault serve` says it waits at; waits until it does.
std::string AddressOf(CommandProcess& serve);

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_CLI_SERVED_FILE_H_
