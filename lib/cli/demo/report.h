#ifndef FARFAULT_LIB_CLI_DEMO_REPORT_H_
#define FARFAULT_LIB_CLI_DEMO_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "lib/cli/demo/demo_run.h"

namespace farfault {

/// Answers per second in intervals of `kThroughputInterval`, the switchover at the beginning of interval
/// `switchover`; both sides together.
struct Throughput {
  static constexpr std::int64_t kInterval = 50'000'000;
  std::size_t switchover = 0;
  std::vector<double> per_second;
};
Throughput ThroughputOf(const MethodResult& result);

/// What the table, the picture and JSON call a move's total time, in nanoseconds, and what to say that it is.
std::int64_t TotalTime(const MethodResult& result);
inline constexpr std::string_view kTotalTimeIs =
    "total time: from before the two sides connect, the program still running at the source, until every page is at "
    "the destination";

/// A row per method, or, where that has more than `columns`, a column per method.
std::string RenderResults(const std::vector<MethodResult>& results, std::size_t columns);

nlohmann::json ToJson(const MethodResult& result);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_REPORT_H_
