#include "bench/print_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "lib/cli/terminal/table.h"
#include "lib/cli/terminal/units.h"

namespace farfault::bench {
namespace {

std::string FormatPlain(double value) { return std::isfinite(value) ? fmt::format("{:.3g}", value) : "none"; }

std::string FormatValue(double value, std::string_view unit) {
  if (!std::isfinite(value)) return "none";
  if (unit == "ns" && value >= 100) return FormatNanos(std::llround(value));
  if (unit == "bytes") return FormatBytes(static_cast<std::uint64_t>(std::max(0.0, value)));
  if (unit == "bytes/s") return FormatBytes(static_cast<std::uint64_t>(std::max(0.0, value))) + "/s";
  return fmt::format("{:.3g} {}", value, unit);
}

std::string FormatLimit(const Limit& limit) {
  return fmt::format("{} {:.3g}", limit.kind == Limit::Kind::kAtMost ? "≤" : "≥", limit.value);
}

std::string RenderRatios(const Report& report) {
  Table table({"ratio", "median", "low", "high", "limit", "holds"});
  for (const Ratio& ratio : report.ratios) {
    table.AddRow({ratio.name, FormatPlain(ratio.spread.median), FormatPlain(ratio.spread.low),
                  FormatPlain(ratio.spread.high), FormatLimit(ratio.limit), ratio.holds() ? "yes" : "NO"});
  }
  return table.Render();
}

std::string RenderFigures(const Report& report) {
  Table table({"figure", "median", "low", "high"});
  for (const Figure& figure : report.figures) {
    table.AddRow({figure.name, FormatValue(figure.spread.median, figure.unit),
                  FormatValue(figure.spread.low, figure.unit), FormatValue(figure.spread.high, figure.unit)});
  }
  return table.Render();
}

}  // namespace

std::string RenderReport(const Report& report) {
  std::string text;
  if (!report.ratios.empty()) text += RenderRatios(report) + "\n";
  if (!report.figures.empty()) text += RenderFigures(report) + "\n";
  for (const Omission& omission : report.omissions) {
    text += fmt::format("{}: {}: {}\n", omission.name, omission.failed ? "FAILED" : "skipped", omission.reason);
  }
  if (!report.ratios.empty() || !report.figures.empty()) {
    text += "low and high: quartiles over the rounds (extremes of fewer than 4)\n";
  }
  return text;
}

}  // namespace farfault::bench
