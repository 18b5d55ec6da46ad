#include "bench/core/report.h"

#include <algorithm>
#include <cmath>

namespace farfault::bench {
namespace {

nlohmann::ordered_json Number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

bool Report::all_hold() const {
  return std::all_of(ratios.begin(), ratios.end(), [](const Ratio& ratio) { return ratio.holds(); });
}

bool Report::any_failed() const {
  return std::any_of(omissions.begin(), omissions.end(), [](const Omission& omission) { return omission.failed; });
}

nlohmann::ordered_json ToJson(const Report& report) {
  nlohmann::ordered_json ratios = nlohmann::ordered_json::array();
  for (const Ratio& ratio : report.ratios) {
    ratios.push_back({{"name", ratio.name},
                      {"value", Number(ratio.spread.median)},
                      {"low", Number(ratio.spread.low)},
                      {"high", Number(ratio.spread.high)},
                      {"limit", ratio.limit.value},
                      {"holds", ratio.holds()}});
  }
  nlohmann::ordered_json figures = nlohmann::ordered_json::array();
  for (const Figure& figure : report.figures) {
    figures.push_back({{"name", figure.name},
                       {"value", Number(figure.spread.median)},
                       {"low", Number(figure.spread.low)},
                       {"high", Number(figure.spread.high)},
                       {"unit", figure.unit}});
  }
  for (const Omission& omission : report.omissions) {
    figures.push_back({{"name", omission.name}, {"value", nullptr}, {"reason", omission.reason}});
  }
  return {{"group", report.group}, {"ratios", std::move(ratios)}, {"figures", std::move(figures)}};
}

}  // namespace farfault::bench
