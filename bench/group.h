#ifndef FARFAULT_BENCH_GROUP_H_
#define FARFAULT_BENCH_GROUP_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/core/report.h"
#include "bench/round_progress.h"

namespace farfault::bench {

/// What the user asked for.
struct RunOptions {
  /// Fewer rounds of the same measurements: a first look. The sizes stay, so that names keep their meaning.
  bool quick = false;
  /// Rounds of each measurement; 0 leaves it to the measurement.
  int rounds = 0;
  /// Only measurements whose name contains this.
  std::string filter;

  bool Wants(std::string_view measurement) const { return measurement.find(filter) != std::string_view::npos; }
  int RoundsOr(int full, int shortened) const { return rounds > 0 ? rounds : quick ? shortened : full; }
};

/// A set of measurements that belong together and are reported together.
struct Group {
  std::string name;
  std::string summary;
  /// One line per measurement, for the list of groups; `filter` picks among them.
  std::vector<std::string> measurements;
  std::function<Report(const RunOptions&, RoundProgress&)> run;
};

/// Puts a group on the list before main begins: define one at namespace scope.
struct GroupRegistration {
  explicit GroupRegistration(Group group);
};

/// Every registered group, by name.
const std::vector<Group>& Groups();

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_GROUP_H_
