#ifndef FARFAULT_BENCH_CORE_STATISTICS_H_
#define FARFAULT_BENCH_CORE_STATISTICS_H_

#include <cstddef>
#include <span>

namespace farfault::bench {

/// The value below which a share of `q` of the samples lies, interpolated between the two nearest ones; q in [0, 1].
/// NaN when there are no samples.
double Quantile(std::span<const double> samples, double q);
double Median(std::span<const double> samples);

/// The middle of a sample and how far it spreads: the quartiles, so that one disturbed round shows only when it is not
/// alone. From fewer than four samples quartiles would be invented: then low and high are the extremes.
struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
  std::size_t samples = 0;
};
Spread SpreadOf(std::span<const double> samples);

/// The spread of numerator[i] / denominator[i]. Both were measured in round i, so what slowed the machine down in that
/// round is in both and cancels out. The spans are of equal length; a round with a denominator that is not positive is
/// left out.
Spread PairedRatio(std::span<const double> numerator, std::span<const double> denominator);

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_CORE_STATISTICS_H_
