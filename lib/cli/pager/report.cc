#include <nlohmann/json.hpp>
#include <string>

#include "lib/cli/pager/paged_guest.h"
#include "lib/cli/terminal/table.h"
#include "lib/cli/terminal/units.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

LatencyHistogram StallsOf(const SessionStats& stats) {
  LatencyHistogram stalls = stats.stall_network;
  stalls.Merge(stats.stall_local);
  return stalls;
}

}  // namespace

std::string ReportAsJson(const PagerReport& report) {
  const SessionStats& stats = report.stats;
  const LatencyHistogram stalls = StallsOf(stats);
  const auto micros = [](std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; };
  const nlohmann::json json = {{"guest", report.guest},
                               {"source", report.source},
                               {"end", report.end.ok() ? "resident" : std::string(StatusText(report.end))},
                               {"taken_over", report.taken_over},
                               {"duration_ms", absl::ToDoubleMilliseconds(report.elapsed)},
                               {"faults_network", stats.faults_network},
                               {"faults_local", stats.faults_local},
                               {"requests", report.requests},
                               {"stall_us",
                                {{"p50", micros(stalls.Quantile(0.5))},
                                 {"p99", micros(stalls.Quantile(0.99))},
                                 {"max", micros(stalls.max())},
                                 {"sum", micros(stalls.sum())}}},
                               {"bytes_received", stats.bytes_received},
                               {"duplicates", stats.duplicates},
                               {"pages", stats.total_pages},
                               {"pages_resident", stats.resident_pages},
                               {"pages_hole", stats.hole_pages},
                               {"pages_by",
                                {{"demand", stats.pages_demanded},
                                 {"fetch", stats.pages_fetched},
                                 {"push", stats.pages_pushed},
                                 {"prepage", stats.pages_prepaged}}}};
  return json.dump(2);
}

std::string ReportAsTable(const PagerReport& report) {
  const SessionStats& stats = report.stats;
  const LatencyHistogram stalls = StallsOf(stats);
  Table table({"guest", "time", "network\nfaults", "local\nfaults", "stall\np50", "stall\np99", "stall\nmax",
               "bytes\nmoved", "resident\npages"});
  table.AddRow({report.guest, FormatNanos(absl::ToInt64Nanoseconds(report.elapsed)), FormatCount(stats.faults_network),
                FormatCount(stats.faults_local), FormatNanos(stalls.Quantile(0.5)), FormatNanos(stalls.Quantile(0.99)),
                FormatNanos(stalls.max()), FormatBytes(stats.bytes_received), FormatCount(stats.resident_pages)});
  return table.Render();
}

}  // namespace farfault
