#ifndef FARFAULT_BENCH_ENGINE_DEMAND_TAIL_H_
#define FARFAULT_BENCH_ENGINE_DEMAND_TAIL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/engine/remote_move.h"
#include "bench/engine/source_host.h"
#include "bench/group.h"

namespace farfault::bench {

/// What stays the same in all rounds of a measurement of the demand tail.
struct DemandTailSpec {
  std::string fabric;  ///< "tcp", for the names of what is reported.
  TargetSpec target;
  std::uint64_t pushed_bytes = 0;
  std::uint64_t touched_bytes = 0;
  /// The push has to have brought so much before the first touch counts, and to lack so much after the last.
  std::uint64_t margin_bytes = 0;
  std::size_t max_touches = 0;
};

/// The guest's memory, in the order of the push.
std::vector<RegionSpec> RegionsOf(const DemandTailSpec& spec);

/// Compares the 99th percentile of network faults during a push with that of the same without one. `source` has
/// RegionsOf(spec).
absl::Status MeasureDemandTailOn(const DemandTailSpec& spec, SourceHost& source, int rounds, RoundProgress& progress,
                                 Report& report);

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_DEMAND_TAIL_H_
