#include "lib/cli/give_way.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cerrno>

namespace farfault {

CLI::Option* AddNice(CLI::App& app, int& value) {
  return app
      .add_option(
          "--nice", value,
          fmt::format("How far to give way to the guest's own threads, a nice value (default {}; 0: not)", kGivesWay))
      ->check(CLI::Range(0, 19));
}

absl::Status GiveWay(int nice) {
  errno = 0;
  const int now = getpriority(PRIO_PROCESS, 0);
  if (now == -1 && errno != 0) return absl::ErrnoToStatus(errno, "the priority of this process is not known");
  if (now >= nice) return absl::OkStatus();
  if (setpriority(PRIO_PROCESS, 0, nice) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("the nice value cannot be set to {}", nice));
  }
  return absl::OkStatus();
}

}  // namespace farfault
