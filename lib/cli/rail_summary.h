#ifndef FARFAULT_LIB_CLI_RAIL_SUMMARY_H_
#define FARFAULT_LIB_CLI_RAIL_SUMMARY_H_

#include <fmt/format.h>

#include <string>

#include "farfault/stats.h"
#include "lib/cli/terminal/units.h"

namespace farfault {

/// "rail 1, RDMA device rxe0, port 1, GID 1: 12 MiB; rail 2, …": what went each way. Empty without rails.
inline std::string RailSummary(const SessionStats& stats) {
  std::string summary;
  for (std::size_t i = 0; i < stats.rails.size(); ++i) {
    const RailStats& rail = stats.rails[i];
    summary += fmt::format("{}rail {}, {}: {}", i == 0 ? "" : "; ", i + 1, rail.path,
                           FormatBytes(rail.bytes_read + rail.bytes_written));
  }
  return summary;
}

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_RAIL_SUMMARY_H_
