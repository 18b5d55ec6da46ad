#include "lib/cli/paging_report.h"

#include <nlohmann/json.hpp>

#include "lib/cli/terminal/table.h"
#include "lib/cli/terminal/units.h"

namespace farfault {
namespace {

LatencyHistogram StallsOf(const SessionStats& stats) {
  LatencyHistogram stalls = stats.stall_network;
  stalls.Merge(stats.stall_local);
  return stalls;
}

double Micros(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; }

}  // namespace

nlohmann::json PagingToJson(const SessionStats& stats) {
  const LatencyHistogram stalls = StallsOf(stats);
  return {{"faults_network", stats.faults_network},
          {"faults_local", stats.faults_local},
          {"stall_us",
           {{"p50", Micros(stalls.Quantile(0.5))},
            {"p99", Micros(stalls.Quantile(0.99))},
            {"max", Micros(stalls.max())},
            {"sum", Micros(stalls.sum())}}},
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
}

std::string PagingAsTable(const PagingRow& row, const SessionStats& stats) {
  const LatencyHistogram stalls = StallsOf(stats);
  Table table({row.heading, "time", "network\nfaults", "local\nfaults", "stall\np50", "stall\np99", "stall\nmax",
               "bytes\nmoved", row.last_heading});
  table.AddRow({row.name, FormatNanos(row.nanoseconds), FormatCount(stats.faults_network),
                FormatCount(stats.faults_local), FormatNanos(stalls.Quantile(0.5)), FormatNanos(stalls.Quantile(0.99)),
                FormatNanos(stalls.max()), FormatBytes(stats.bytes_received), row.last});
  return table.Render();
}

}  // namespace farfault
