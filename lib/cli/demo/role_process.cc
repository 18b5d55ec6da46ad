#include "lib/cli/demo/role_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

std::string Describe(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) return fmt::format("ended with status {}", WEXITSTATUS(status));
  return {};
}

}  // namespace

absl::StatusOr<std::unique_ptr<RoleProcess>> RoleProcess::Spawn(const std::vector<std::string>& arguments,
                                                                const std::vector<int>& inherited) {
  std::vector<std::string> all = {"farfault", "demo-role"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::ResourceExhaustedError(fmt::format("cannot start a process: {}", std::strerror(errno)));
  if (pid == 0) {
    // Only async-signal-safe calls from here on.
    for (const int fd : inherited) fcntl(fd, F_SETFD, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(126);
    execv("/proc/self/exe", argv.data());
    _exit(127);
  }
  return std::make_unique<RoleProcess>(pid);
}

std::string RoleProcess::Reap(Deadline deadline) {
  if (pid_ < 0) return {};
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_ || (ended < 0 && errno != EINTR)) break;
    if (deadline.Passed()) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      break;
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
  pid_ = -1;
  return Describe(status);
}

std::string RoleProcess::FateIfEnded(Deadline deadline) {
  int status = 0;
  while (pid_ >= 0 && waitpid(pid_, &status, WNOHANG) != pid_) {
    if (deadline.Passed()) return {};
    absl::SleepFor(absl::Milliseconds(2));
  }
  pid_ = -1;
  return Describe(status);
}

RoleProcess::~RoleProcess() { Reap(Deadline::Now()); }

}  // namespace farfault
