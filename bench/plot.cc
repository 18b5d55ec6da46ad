#include "bench/plot.h"

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

}  // namespace

absl::Status PlotRatios(const Report& report, const std::string& png_path) {
  const absl::StatusOr<int> report_file = FileWith(ToJson(report).dump());
  if (!report_file.ok()) return report_file.status();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, *report_file, STDIN_FILENO);
  std::string python = "python3";
  std::string script = FARFAULT_BENCH_PLOT_SCRIPT;
  std::string output = png_path;
  const std::array<char*, 4> arguments = {python.data(), script.data(), output.data(), nullptr};
  pid_t child = -1;
  const int spawned = posix_spawnp(&child, "python3", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(*report_file);
  if (spawned != 0) {
    return absl::FailedPreconditionError(fmt::format(
        "cannot run python3 ({}); install it with: apt-get install python3-matplotlib", std::strerror(spawned)));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format("{} drew no plot into {}", script, png_path));
}

}  // namespace farfault::bench
