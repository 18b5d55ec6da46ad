#ifndef FARFAULT_BENCH_CORE_REPORT_H_
#define FARFAULT_BENCH_CORE_REPORT_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/core/statistics.h"

namespace farfault::bench {

/// What a ratio may be at most, or must be at least.
struct Limit {
  enum class Kind { kAtMost, kAtLeast };
  Kind kind = Kind::kAtMost;
  double value = 0;

  static Limit AtMost(double value) { return {Kind::kAtMost, value}; }
  static Limit AtLeast(double value) { return {Kind::kAtLeast, value}; }
  /// NaN meets no limit.
  bool Holds(double measured) const { return kind == Kind::kAtMost ? measured <= value : measured >= value; }
};

/// A quotient of two things that were measured side by side, or another number that does not depend on how fast the
/// machine is, held against its limit by its median.
struct Ratio {
  std::string name;
  Spread spread;
  Limit limit;

  bool holds() const { return limit.Holds(spread.median); }
};

/// An absolute value, for orientation: it depends on the machine and its mood.
struct Figure {
  std::string name;
  Spread spread;
  std::string unit;
};

/// Something that was not measured, and why.
struct Omission {
  std::string name;
  std::string reason;
  /// True: it was tried and went wrong. False: this machine cannot do it.
  bool failed = false;
};

/// What one run of a group found.
struct Report {
  std::string group{};
  std::vector<Ratio> ratios{};
  std::vector<Figure> figures{};
  std::vector<Omission> omissions{};

  bool all_hold() const;
  bool any_failed() const;
};

/// {"group","ratios":[{"name","value","low","high","limit","holds"}],"figures":[{"name","value","low","high","unit"}]}.
/// What is missing is a figure {"name","value":null,"reason"}. A number that is not finite becomes null.
nlohmann::ordered_json ToJson(const Report& report);

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_CORE_REPORT_H_
