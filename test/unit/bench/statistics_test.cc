#include "bench/core/statistics.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>
#include <cmath>
#include <vector>

namespace farfault::bench {
namespace {

using Catch::Matchers::WithinRel;

TEST_CASE("quantiles interpolate between neighbours and do not need sorted samples") {
  const std::array<double, 4> samples = {40, 10, 30, 20};
  CHECK(Quantile(samples, 0.0) == 10);
  CHECK(Quantile(samples, 1.0) == 40);
  CHECK_THAT(Quantile(samples, 0.5), WithinRel(25.0));
  CHECK_THAT(Quantile(samples, 0.25), WithinRel(17.5));
  CHECK_THAT(Quantile(samples, 0.99), WithinRel(39.7));
}

TEST_CASE("quantiles outside of 0 to 1 are the extremes") {
  const std::array<double, 3> samples = {1, 2, 3};
  CHECK(Quantile(samples, -1) == 1);
  CHECK(Quantile(samples, 2) == 3);
}

TEST_CASE("nothing has no median, and one sample is its own") {
  CHECK(std::isnan(Median({})));
  CHECK(Median(std::array{7.0}) == 7);
}

TEST_CASE("a spread is the quartiles, and the extremes of a handful") {
  const std::array<double, 5> five = {1, 2, 3, 4, 100};
  const Spread quartiles = SpreadOf(five);
  CHECK(quartiles.median == 3);
  CHECK(quartiles.low == 2);
  CHECK(quartiles.high == 4);
  CHECK(quartiles.samples == 5);

  const Spread extremes = SpreadOf(std::span(five).last(3));
  CHECK(extremes.median == 4);
  CHECK(extremes.low == 3);
  CHECK(extremes.high == 100);
}

TEST_CASE("ratios are taken round by round, so that a slow round cancels out") {
  // The machine is ten times slower in the second half; the ratio is 1.5 throughout.
  const std::array<double, 4> base = {2, 2, 20, 20};
  const std::array<double, 4> measured = {3, 3, 30, 30};
  const Spread ratio = PairedRatio(measured, base);
  CHECK(ratio.median == 1.5);
  CHECK(ratio.low == 1.5);
  CHECK(ratio.high == 1.5);
}

TEST_CASE("rounds that measured nothing to compare with are left out") {
  const Spread ratio = PairedRatio(std::array{1.0, 5.0}, std::array{0.0, 2.0});
  CHECK(ratio.median == 2.5);
  CHECK(ratio.samples == 1);
}

}  // namespace
}  // namespace farfault::bench
