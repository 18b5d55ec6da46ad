#include "bench/plot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "absl/status/statusor.h"

extern char** environ;

namespace farfault::bench {
namespace {

constexpr int kNoInput = -1;

// A file in memory rather than a pipe: a script that dies early raises no SIGPIPE here.
absl::StatusOr<int> FileWith(const std::string& text) {
  const int fd = memfd_create("farfault-bench-report", MFD_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "memfd_create");
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()) || lseek(fd, 0, SEEK_SET) != 0) {
    absl::Status status = absl::ErrnoToStatus(errno, "writing the report for the plot");
    close(fd);
    return status;
  }
  return fd;
}

// kFailedPrecondition when it does not run or says that it has failed.
absl::Status RunScript(std::string argument, int standard_input) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (standard_input == kNoInput) {
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  } else {
    posix_spawn_file_actions_adddup2(&actions, standard_input, STDIN_FILENO);
  }
  std::string python = "python3";
  std::string script = FARFAULT_BENCH_PLOT_SCRIPT;
  const std::array<char*, 4> arguments = {python.data(), script.data(), argument.data(), nullptr};
  pid_t child = -1;
  const int spawned = posix_spawnp(&child, "python3", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) {
    return absl::FailedPreconditionError(fmt::format(
        "cannot run python3 ({}); install it with: apt-get install python3-matplotlib", std::strerror(spawned)));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format("{} {} failed", script, argument));
}

}  // namespace

absl::Status CheckPlotting() { return RunScript("--check", kNoInput); }

absl::Status PlotRatios(const Report& report, const std::string& png_path) {
  const absl::StatusOr<int> report_file = FileWith(ToJson(report).dump());
  if (!report_file.ok()) return report_file.status();
  absl::Status drawn = RunScript(png_path, *report_file);
  close(*report_file);
  return drawn;
}

}  // namespace farfault::bench
