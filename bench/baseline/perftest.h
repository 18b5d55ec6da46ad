#ifndef FARFAULT_BENCH_BASELINE_PERFTEST_H_
#define FARFAULT_BENCH_BASELINE_PERFTEST_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/baseline/program.h"

namespace farfault::bench {

/// One run of a program of perftest (https://github.com/linux-rdma/perftest), client and server on this machine: the
/// wire as its own community measures it. Connections come about through rdma_cm, at `address`.
struct PerftestRun {
  std::string address;
  std::uint32_t message_bytes = 4096;
  std::uint32_t iterations = 1000;
};

// kFailedPrecondition when perftest is not installed; kUnavailable with its last words when it fails.

/// ib_read_lat: the median of one READ at a time, nanoseconds.
absl::StatusOr<double> ReadLatencyMedian(const PerftestRun& run);
/// ib_read_lat -e: of one READ at a time, whose completion is slept for, the 99th percentile, nanoseconds.
absl::StatusOr<double> ReadLatencyTail(const PerftestRun& run);
/// ib_write_bw: the average over all WRITEs, bytes per second.
absl::StatusOr<double> WriteBandwidth(const PerftestRun& run);

/// ib_write_bw in the background: writes as fast as it can, from when `Start` returns until this object ends.
class BackgroundWrites {
 public:
  static absl::StatusOr<BackgroundWrites> Start(const PerftestRun& run);
  /// Waits until something has been written since. kUnavailable when nothing is.
  absl::Status CheckGoingOn();

 private:
  BackgroundWrites(Program server, Program client, std::string row)
      : server_(std::move(server)), client_(std::move(client)), row_(std::move(row)) {}

  Program server_;
  Program client_;
  std::string row_;  // How what is printed each second begins.
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_BASELINE_PERFTEST_H_
