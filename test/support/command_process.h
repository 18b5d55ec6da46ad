#ifndef FARFAULT_TEST_SUPPORT_COMMAND_PROCESS_H_
#define FARFAULT_TEST_SUPPORT_COMMAND_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace farfault {

/// A program that runs as a child, its output kept. Killed with this object. One thread.
class CommandProcess {
 public:
  /// `command[0]` is the path of the program.
  explicit CommandProcess(const std::vector<std::string>& command);
  CommandProcess(const CommandProcess&) = delete;
  CommandProcess& operator=(const CommandProcess&) = delete;
  ~CommandProcess();

  pid_t pid() const { return pid_; }
  std::string Out() const;
  /// Behind what it has said, once a Wait has been in vain: what its threads wait in.
  std::string Err() const;

  /// Whether `text` is on standard error within `timeout`.
  bool WaitForErr(std::string_view text, absl::Duration timeout);
  /// The exit status, 128 + the signal that killed it, or -1 when it still runs after `timeout`.
  int Wait(absl::Duration timeout);
  void Signal(int signal);

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  int status_ = -1;
  std::string hangs_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_COMMAND_PROCESS_H_
