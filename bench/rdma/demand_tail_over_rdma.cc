#include <array>
#include <string>
#include <vector>

#include "bench/baseline/perftest.h"
#include "bench/core/interleave.h"
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

/// The same question put to perftest: what READs of the bare wire wait while it carries WRITEs as fast as it can.
absl::Status MeasureWire(const RdmaBench& bench, int rounds, Report& report) {
  bench.progress.Begin("read tail of the wire", rounds);
  const PerftestRun reads{.address = bench.address, .message_bytes = kSmallPage, .iterations = 2000};
  std::vector<double> writing;
  std::vector<double> alone;
  const auto read = [&reads](std::vector<double>& tails) -> absl::Status {
    const auto tail = ReadLatencyTail(reads);
    if (!tail.ok()) return tail.status();
    tails.push_back(*tail);
    return absl::OkStatus();
  };
  const auto read_beside_writes = [&]() -> absl::Status {
    auto writes = BackgroundWrites::Start({.address = bench.address, .message_bytes = 65536});
    if (!writes.ok()) return writes.status();
    if (absl::Status status = read(writing); !status.ok()) return status;
    return writes->CheckGoingOn();
  };
  const std::array<Subject, 2> subjects = {Subject{"with WRITEs", [&](int) { return read_beside_writes(); }},
                                           Subject{"without WRITEs", [&](int) { return read(alone); }}};
  absl::Status status = RunInterleaved(subjects, rounds, [&](int round) { bench.progress.Round(round); });
  if (!status.ok()) return status;
  bench.progress.End();
  report.figures.push_back({"ib_read_lat -e: p99 during ib_write_bw / without", PairedRatio(writing, alone), "times"});
  report.figures.push_back({"ib_read_lat -e: p99 during ib_write_bw", SpreadOf(writing), "ns"});
  report.figures.push_back({"ib_read_lat -e: p99 without", SpreadOf(alone), "ns"});
  return absl::OkStatus();
}

absl::Status Measure(const RdmaBench& bench, Report& report) {
  DemandTailSpec spec = Spec();
  spec.target.listen = bench.url();
  const int rounds = bench.options.RoundsOr(11, 5);
  absl::Status status = MeasureDemandTailOn(spec, bench.source, rounds, bench.progress, report);
  if (!status.ok()) return status;
  // For orientation: what keeps perftest from it does not make the ratio less true.
  if (absl::Status wire = MeasureWire(bench, rounds, report); !wire.ok()) {
    const bool failed = !absl::IsFailedPrecondition(wire);  // Else it is not installed.
    report.omissions.push_back({"read tail of the wire", std::string(wire.message()), failed});
  }
  return absl::OkStatus();
}

}  // namespace

RdmaMeasurement DemandTailOverRdma() { return {"demand tail over rdma", RegionsOf(Spec()), Measure}; }

}  // namespace farfault::bench
