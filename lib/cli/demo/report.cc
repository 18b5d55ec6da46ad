#include "lib/cli/demo/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "lib/cli/terminal/table.h"
#include "lib/cli/terminal/units.h"
#include "lib/cli/workload/timeline.h"

namespace farfault {
namespace {

double Micros(std::int64_t nanoseconds) { return std::round(static_cast<double>(nanoseconds) / 100) / 10; }
double Millis(std::int64_t nanoseconds) { return std::round(static_cast<double>(nanoseconds) / 1e4) / 100; }

/// A column per row, for terminals that are too narrow.
Table Transposed(std::span<const std::string> headings, std::span<const std::vector<std::string>> rows) {
  std::vector<std::string> names = {headings.front()};
  for (const std::vector<std::string>& row : rows) names.push_back(row.front());
  Table table(names);
  for (std::size_t i = 1; i < headings.size(); ++i) {
    std::vector<std::string> cells = {headings[i]};
    std::ranges::replace(cells.front(), '\n', ' ');
    for (const std::vector<std::string>& row : rows) cells.push_back(row[i]);
    table.AddRow(std::move(cells));
  }
  return table;
}

}  // namespace

Throughput ThroughputOf(const MethodResult& result) {
  constexpr std::size_t kSlices = Throughput::kInterval / Timeline::kSlice;
  // Intervals are aligned so that one begins with the slice of the switchover.
  const auto stop =
      static_cast<std::size_t>(std::max<std::int64_t>(0, (result.source.stopped_at - result.epoch) / Timeline::kSlice));
  const std::size_t skipped = stop % kSlices;
  const std::size_t slices = std::max(result.source_slices.size(), result.destination_slices.size());
  const auto at = [](const std::vector<std::uint64_t>& from, std::size_t i) { return i < from.size() ? from[i] : 0; };
  Throughput throughput;
  throughput.switchover = stop / kSlices;
  for (std::size_t first = skipped; first + kSlices <= slices; first += kSlices) {
    std::uint64_t answers = 0;
    for (std::size_t i = first; i < first + kSlices; ++i) {
      answers += at(result.source_slices, i) + at(result.destination_slices, i);
    }
    throughput.per_second.push_back(static_cast<double>(answers) * 1e9 / Throughput::kInterval);
  }
  return throughput;
}

std::int64_t TotalTime(const MethodResult& result) { return result.destination.resident_at - result.source.began_at; }

std::string RenderResults(const std::vector<MethodResult>& results, std::size_t columns) {
  std::vector<std::string> headings = {"method",        "downtime",         "total\ntime",     "network\nfaults",
                                       "local\nfaults", "stall\np50",       "stall\np99",      "stall\nmax",
                                       "bytes\nmoved",  "duplicate\npages", "verified\npages", "wrong\npages",
                                       "wrong\nanswers"};
  std::vector<std::vector<std::string>> rows;
  std::string notes = fmt::format("{}\n", kTotalTimeIs);
  for (const MethodResult& result : results) {
    if (!result.left_out.empty()) notes += fmt::format("left out: {}: {}\n", result.method.title, result.left_out);
    if (!result.finished()) continue;
    const DestinationReport& there = result.destination;
    rows.push_back({result.method.title, FormatNanos(there.resumed_at - result.source.stopped_at),
                    FormatNanos(TotalTime(result)), FormatCount(there.faults_network), FormatCount(there.faults_local),
                    FormatNanos(there.stall_ns.p50), FormatNanos(there.stall_ns.p99), FormatNanos(there.stall_ns.max),
                    FormatBytes(there.bytes), FormatCount(there.duplicates), FormatCount(result.verdict.verified_pages),
                    FormatCount(result.verdict.wrong_pages), FormatCount(result.verdict.wrong_answers)});
  }
  Table wide(headings);
  for (const std::vector<std::string>& row : rows) wide.AddRow(row);
  return (wide.width() <= columns ? wide : Transposed(headings, rows)).Render() + notes;
}

nlohmann::json ToJson(const MethodResult& result) {
  if (!result.left_out.empty()) return {{"method", result.method.name}, {"left_out", result.left_out}};
  if (!result.failure.empty()) return {{"method", result.method.name}, {"failure", result.failure}};
  const DestinationReport& there = result.destination;
  const Throughput throughput = ThroughputOf(result);
  return {
      {"method", result.method.name},
      {"connection", there.connection},
      {"downtime_us", Micros(there.resumed_at - result.source.stopped_at)},
      {"total_ms", Millis(TotalTime(result))},
      {"faults_network", there.faults_network},
      {"faults_local", there.faults_local},
      {"stall_us",
       {{"p50", Micros(there.stall_ns.p50)},
        {"p99", Micros(there.stall_ns.p99)},
        {"max", Micros(there.stall_ns.max)},
        {"sum", Micros(there.stall_ns.sum)}}},
      {"bytes", there.bytes},
      {"pages", there.pages()},
      {"clock_error_us", Micros(result.clock_error_ns)},
      {"duplicates", there.duplicates},
      {"verified_pages", result.verdict.verified_pages},
      {"wrong_pages", result.verdict.wrong_pages},
      {"wrong_answers", result.verdict.wrong_answers},
      {"pages_by",
       {{"demand", there.demanded}, {"fetch", there.fetched}, {"push", there.pushed}, {"prepage", there.prepaged}}},
      {"pages_stale", there.stale},
      {"pages_hole", result.source.hole_pages},
      {"prepare_ms", Millis(there.prepare_ns)},
      {"prepage_ms", Millis(result.source.prepage_ns)},
      {"first_answer_us", Micros(there.first_answer_at - result.source.stopped_at)},
      {"after_switchover_ms", Millis(there.resident_at - there.resumed_at)},
      {"hints_seen", result.source.hints_seen},
      {"pages_yielded", result.source.pages_yielded},
      {"chunks_collapsed", there.chunks_collapsed},
      {"answers", there.answers},
      {"throughput",
       {{"interval_ms", Throughput::kInterval / 1'000'000},
        {"switchover_interval", throughput.switchover},
        {"answers_per_second", throughput.per_second}}},
  };
}

}  // namespace farfault
