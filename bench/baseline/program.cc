#include "bench/baseline/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/time/clock.h"

namespace farfault::bench {
namespace {

struct Terminal {
  UniqueFd ours;
  UniqueFd theirs;
  std::array<char, 64> name{};
};

// A program that writes to a pipe keeps back what it has to say until it is a lot. To a terminal it says it at once.
absl::StatusOr<Terminal> OpenTerminal() {
  Terminal terminal{.ours = UniqueFd(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)), .theirs = {}};
  std::array<char, 64>& name = terminal.name;
  if (!terminal.ours.valid() || grantpt(terminal.ours.get()) != 0 || unlockpt(terminal.ours.get()) != 0 ||
      ptsname_r(terminal.ours.get(), name.data(), name.size()) != 0) {
    return absl::ErrnoToStatus(errno, "a pseudo terminal cannot be opened (is devpts mounted at /dev/pts?)");
  }
  terminal.theirs = UniqueFd(open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios modes{};
  if (!terminal.theirs.valid() || tcgetattr(terminal.theirs.get(), &modes) != 0) {
    return absl::ErrnoToStatus(errno, name.data());
  }
  cfmakeraw(&modes);
  if (tcsetattr(terminal.theirs.get(), TCSANOW, &modes) != 0) return absl::ErrnoToStatus(errno, name.data());
  return terminal;
}

}  // namespace

absl::StatusOr<Program> Program::Start(const std::vector<std::string>& command) {
  auto terminal = OpenTerminal();
  if (!terminal.ok()) return terminal.status();
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  // Its controlling terminal: the kernel ends it (SIGHUP) when this process is gone, however that came about.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, terminal->name.data(), O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = -1;
  const int error = posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return absl::FailedPreconditionError(fmt::format("{} cannot be started: {}", command[0], std::strerror(error)));
  }
  return Program(child, std::move(terminal->ours));
}

Program::~Program() {
  if (child_ < 0) return;
  kill(child_, SIGKILL);
  while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool Program::ReadMore(absl::Time deadline) {
  pollfd waiting{output_.get(), POLLIN, 0};
  const auto left = std::min(absl::ToInt64Milliseconds(deadline - absl::Now()), std::int64_t{3'600'000});
  if (left <= 0 || poll(&waiting, 1, static_cast<int>(left)) <= 0) return false;
  std::array<char, 4096> buffer{};
  // EIO: nobody has the other end open any more.
  const ssize_t count = read(output_.get(), buffer.data(), buffer.size());
  if (count > 0) text_.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

void Program::ForgetText() {
  pollfd waiting{output_.get(), POLLIN, 0};
  while (poll(&waiting, 1, 0) > 0 && ReadMore(absl::InfiniteFuture())) {
  }
  text_.clear();
}

bool Program::WaitForWords(const std::string& words, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (text_.find(words) == std::string::npos) {
    if (!ReadMore(deadline)) return false;
  }
  return true;
}

bool Program::WaitForEnd(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (ReadMore(deadline)) {
  }
  if (absl::Now() >= deadline) return false;
  int status = 0;
  while (waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace farfault::bench
