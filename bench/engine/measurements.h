#ifndef FARFAULT_BENCH_ENGINE_MEASUREMENTS_H_
#define FARFAULT_BENCH_ENGINE_MEASUREMENTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/group.h"

namespace farfault::bench {

/// One comparison of the group `engine`. Adds what it found to the report; what it needs and this machine lacks is
/// kResourceExhausted.
struct Measurement {
  std::string name;
  absl::Status (*run)(const RunOptions& options, RoundProgress& progress, Report& report);
};

absl::Status MeasureFaultSpinning(const RunOptions& options, RoundProgress& progress, Report& report);
absl::Status MeasureFaultSleeping(const RunOptions& options, RoundProgress& progress, Report& report);
absl::Status MeasurePushRate(const RunOptions& options, RoundProgress& progress, Report& report);
absl::Status MeasureDemandTail(const RunOptions& options, RoundProgress& progress, Report& report);
absl::Status MeasureDowntime(const RunOptions& options, RoundProgress& progress, Report& report);
absl::Status MeasureMetadata(const RunOptions& options, RoundProgress& progress, Report& report);
absl::Status MeasureDuplicates(const RunOptions& options, RoundProgress& progress, Report& report);

/// kResourceExhausted, with both numbers, unless this machine has so many bytes of memory to spare.
absl::Status RequireMemory(std::uint64_t bytes);

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_MEASUREMENTS_H_
