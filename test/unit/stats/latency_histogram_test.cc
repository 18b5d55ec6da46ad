#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "farfault/stats.h"

namespace farfault {
namespace {

// The definition of the header, without buckets.
std::int64_t ExactQuantile(std::vector<std::int64_t> samples, double q) {
  std::sort(samples.begin(), samples.end());
  const auto wanted = std::ceil(q * static_cast<double>(samples.size()) - 1e-9);
  const std::size_t rank = std::clamp<std::size_t>(static_cast<std::size_t>(wanted), 1, samples.size());
  return samples[rank - 1];
}

void RequireClose(std::int64_t estimate, std::int64_t exact, std::int64_t max) {
  CAPTURE(estimate, exact, max);
  REQUIRE(estimate >= exact);
  REQUIRE(estimate <= max);
  REQUIRE(static_cast<double>(estimate) <= static_cast<double>(exact) * 1.032);
}

TEST_CASE("an empty histogram has zeros everywhere", "[latency_histogram]") {
  const LatencyHistogram empty;
  REQUIRE(empty.count() == 0);
  REQUIRE(empty.sum() == 0);
  REQUIRE(empty.min() == 0);
  REQUIRE(empty.max() == 0);
  REQUIRE(empty.Quantile(0.5) == 0);
}

TEST_CASE("quantiles are at most 3.2 % above the exact ones", "[latency_histogram]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    LatencyHistogram histogram;
    std::vector<std::int64_t> samples;
    const std::size_t count = 1 + random() % 3000;
    for (std::size_t i = 0; i < count; ++i) {
      // All magnitudes alike.
      const auto value = static_cast<std::int64_t>((random() >> 1) >> (random() % 63));
      samples.push_back(value);
      histogram.Record(value);
    }
    const auto [min, max] = std::minmax_element(samples.begin(), samples.end());
    REQUIRE(histogram.count() == count);
    REQUIRE(histogram.min() == *min);
    REQUIRE(histogram.max() == *max);
    for (const double q : {0.0, 0.001, 0.07, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      CAPTURE(q);
      RequireClose(histogram.Quantile(q), ExactQuantile(samples, q), *max);
    }
  }
}

TEST_CASE("small values are exact, and a quantile counts ranks exactly", "[latency_histogram]") {
  LatencyHistogram histogram;
  for (int value = 1; value <= 50; ++value) histogram.Record(value);
  for (int percent = 2; percent <= 100; percent += 2) {
    CAPTURE(percent);
    REQUIRE(histogram.Quantile(percent / 100.0) == percent / 2);
  }
  REQUIRE(histogram.Quantile(0.0) == 1);
  REQUIRE(histogram.sum() == 50 * 51 / 2);
}

TEST_CASE("out-of-range quantiles and durations are clamped", "[latency_histogram]") {
  LatencyHistogram histogram;
  histogram.Record(-5);
  REQUIRE(histogram.count() == 1);
  REQUIRE(histogram.min() == 0);
  REQUIRE(histogram.max() == 0);
  REQUIRE(histogram.sum() == 0);
  histogram.Record(INT64_MAX);
  histogram.Record(INT64_MAX);
  REQUIRE(histogram.max() == INT64_MAX);
  REQUIRE(histogram.sum() == INT64_MAX);
  REQUIRE(histogram.Quantile(-1.0) == 0);
  REQUIRE(histogram.Quantile(0.2) == 0);
  REQUIRE(histogram.Quantile(7.0) == INT64_MAX);
}

TEST_CASE("every power of two and its neighbours fall into the right bucket", "[latency_histogram]") {
  for (unsigned bit = 0; bit < 63; ++bit) {
    for (const int offset : {-1, 0, 1}) {
      const std::int64_t value = (std::int64_t{1} << bit) + offset;
      CAPTURE(value);
      LatencyHistogram histogram;
      histogram.Record(value);
      histogram.Record(INT64_MAX);
      RequireClose(histogram.Quantile(0.5), value, INT64_MAX);
    }
  }
}

TEST_CASE("merging is the same as recording everything in one", "[latency_histogram]") {
  std::mt19937_64 random(7);
  LatencyHistogram left;
  LatencyHistogram right;
  LatencyHistogram both;
  for (int i = 0; i < 5000; ++i) {
    const auto value = static_cast<std::int64_t>(random() >> (24 + random() % 30));
    (i % 3 == 0 ? left : right).Record(value);
    both.Record(value);
  }
  left.Merge(right);
  left.Merge(LatencyHistogram());
  REQUIRE(left.count() == both.count());
  REQUIRE(left.sum() == both.sum());
  REQUIRE(left.min() == both.min());
  REQUIRE(left.max() == both.max());
  for (int permille = 0; permille <= 1000; ++permille) {
    REQUIRE(left.Quantile(permille / 1000.0) == both.Quantile(permille / 1000.0));
  }
  LatencyHistogram empty;
  empty.Merge(both);
  REQUIRE(empty.min() == both.min());
  REQUIRE(empty.Quantile(0.5) == both.Quantile(0.5));
}

}  // namespace
}  // namespace farfault
