#ifndef FARFAULT_BENCH_RDMA_MEASUREMENTS_H_
#define FARFAULT_BENCH_RDMA_MEASUREMENTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/engine/source_host.h"
#include "bench/group.h"

namespace farfault::bench {

/// What a comparison of the group `rdma` works with.
struct RdmaBench {
  const RunOptions& options;
  RoundProgress& progress;
  /// Where this machine's RDMA device is: both hosts use it.
  std::string address;
  /// The other host, with the regions that the comparison asks for.
  SourceHost& source;

  std::string url() const { return "verbs://" + address + ":0"; }
};

/// One comparison. Adds what it found to the report.
struct RdmaMeasurement {
  std::string name;
  std::vector<RegionSpec> regions;
  absl::Status (*run)(const RdmaBench& bench, Report& report);
};

RdmaMeasurement FaultOverRdma();
RdmaMeasurement PushOverRdma();
RdmaMeasurement DemandTailOverRdma();
RdmaMeasurement SourceAtRest();

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_RDMA_MEASUREMENTS_H_
