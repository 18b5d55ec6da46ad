#include "bench/engine/demand_tail.h"
#include "bench/rdma/measurements.h"

namespace farfault::bench {
namespace {

// Sized for a device in software, which moves some 50 MB/s: a push lasts for seconds.
DemandTailSpec Spec() {
  return {.fabric = "rdma",
          .target = {},
          .pushed_bytes = std::uint64_t{192} << 20,
          .touched_bytes = std::uint64_t{16} << 20,
          .margin_bytes = std::uint64_t{8} << 20,
          .max_touches = 2048};
}

absl::Status Measure(const RdmaBench& bench, Report& report) {
  DemandTailSpec spec = Spec();
  spec.target.listen = bench.url();
  return MeasureDemandTailOn(spec, bench.source, bench.options.RoundsOr(11, 5), bench.progress, report);
}

}  // namespace

RdmaMeasurement DemandTailOverRdma() { return {"demand tail over rdma", RegionsOf(Spec()), Measure}; }

}  // namespace farfault::bench
