#include "bench/core/statistics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

namespace farfault::bench {

double Quantile(std::span<const double> samples, double q) {
  if (samples.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  const double position = std::clamp(q, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

double Median(std::span<const double> samples) { return Quantile(samples, 0.5); }

Spread SpreadOf(std::span<const double> samples) {
  const bool enough_for_quartiles = samples.size() >= 4;
  return {.median = Median(samples),
          .low = Quantile(samples, enough_for_quartiles ? 0.25 : 0.0),
          .high = Quantile(samples, enough_for_quartiles ? 0.75 : 1.0),
          .samples = samples.size()};
}

Spread PairedRatio(std::span<const double> numerator, std::span<const double> denominator) {
  assert(numerator.size() == denominator.size());
  std::vector<double> ratios;
  for (std::size_t i = 0; i < numerator.size(); ++i) {
    if (denominator[i] > 0) ratios.push_back(numerator[i] / denominator[i]);
  }
  return SpreadOf(ratios);
}

}  // namespace farfault::bench
