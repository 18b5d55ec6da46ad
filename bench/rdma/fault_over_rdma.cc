#include <fmt/format.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "bench/baseline/bare_fault_loop.h"
#include "bench/baseline/perftest.h"
#include "bench/core/interleave.h"
#include "bench/engine/affinity.h"
#include "bench/engine/remote_move.h"
#include "bench/engine/source_host.h"
#include "bench/engine/toucher.h"
#include "bench/rdma/bare_reader.h"
#include "bench/rdma/measurements.h"

namespace farfault::bench {
namespace {

constexpr std::size_t kFaultsPerRound = 1024;
constexpr std::uint64_t kBytes = kFaultsPerRound * kSmallPage;
// As in the group `engine`: a CPU for the pager and one for the guest.
constexpr int kPagerCpu = 0;
constexpr int kGuestCpu = 1;
// ib_read_lat polls without end, so everybody polls for longer than an answer takes.
constexpr std::chrono::milliseconds kSpin{1};

/// Of each round.
struct FaultTimes {
  std::vector<double> p50;
  std::vector<double> p99;

  void Add(std::span<const double> times) {
    p50.push_back(Quantile(times, 0.50));
    p99.push_back(Quantile(times, 0.99));
  }
};

void TouchAll(Toucher& guest) {
  const ScopedAffinity on_guest_cpu(kGuestCpu);
  guest.Touch(kFaultsPerRound);
}

absl::Status TouchBare(int round, const OwnedRegion& memory, BareFaultLoop::Fetch fetch, FaultTimes& times) {
  absl::StatusOr<std::unique_ptr<BareFaultLoop>> loop;
  {
    const ScopedAffinity on_pager_cpu(kPagerCpu);
    loop = BareFaultLoop::Start(memory.region(), kSpin, std::move(fetch));
  }
  if (!loop.ok()) return loop.status();
  Toucher guest(memory.bytes(), static_cast<std::uint64_t>(round), /*check=*/false);
  TouchAll(guest);
  times.Add(guest.times());
  return absl::OkStatus();
}

absl::Status TouchLocally(int round, FaultTimes& times) {
  const auto memory = OwnedRegion::CreateShared("bare", kBytes);
  if (!memory.ok()) return memory.status();
  return TouchBare(round, *memory, {}, times);
}

absl::Status TouchBareOverRdma(const std::string& url, int round, FaultTimes& times) {
  const auto memory = OwnedRegion::CreateShared("bare", kBytes);
  if (!memory.ok()) return memory.status();
  const auto reader = BareReader::Connect(url, memory->region());
  if (!reader.ok()) return reader.status();
  const absl::Status status = TouchBare(round, *memory, [&](std::uint64_t offset) { (*reader)->Read(offset); }, times);
  return status.ok() ? (*reader)->failure() : status;
}

absl::Status TouchOverRdma(SourceHost& source, const TargetSpec& target, int round, FaultTimes& times) {
  absl::StatusOr<std::unique_ptr<RemoteMove>> move;
  {
    const ScopedAffinity on_pager_cpu(kPagerCpu);
    move = RemoteMove::Prepare(source, {{"guest", kBytes}}, {.push = false}, target);
  }
  if (!move.ok()) return move.status();
  if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
  Toucher guest((*move)->memory(0), static_cast<std::uint64_t>(round), /*check=*/true);
  TouchAll(guest);
  const SessionStats stats = (*move)->Stats();
  if (absl::Status status = (*move)->End(/*drain=*/false); !status.ok()) return status;
  if (guest.wrong_pages() > 0) return absl::DataLossError(fmt::format("{} pages arrived wrong", guest.wrong_pages()));
  if (stats.faults_network < kFaultsPerRound) {
    return absl::InternalError(
        fmt::format("only {} of {} touches were network faults", stats.faults_network, kFaultsPerRound));
  }
  times.Add(guest.times());
  return absl::OkStatus();
}

std::vector<double> Sums(std::span<const double> a, std::span<const double> b) {
  std::vector<double> sums;
  for (std::size_t i = 0; i < a.size(); ++i) sums.push_back(a[i] + b[i]);
  return sums;
}

absl::Status Measure(const RdmaBench& bench, Report& report) {
  const int rounds = bench.options.RoundsOr(15, 5);
  bench.progress.Begin("fault to resume over rdma", rounds);
  const TargetSpec as_it_ships{.listen = bench.url()};
  const TargetSpec spinning{.listen = as_it_ships.listen, .spin = absl::FromChrono(kSpin)};
  FaultTimes farfault;
  FaultTimes sleeping;
  FaultTimes bare;
  FaultTimes bare_read;
  std::vector<double> read_latency;
  const auto read = [&](int) -> absl::Status {
    const auto median = ReadLatencyMedian({.address = bench.address, .message_bytes = kSmallPage, .iterations = 1000});
    if (!median.ok()) return median.status();
    read_latency.push_back(*median);
    return absl::OkStatus();
  };
  const std::array<Subject, 5> subjects = {
      Subject{"farfault", [&](int round) { return TouchOverRdma(bench.source, spinning, round, farfault); }},
      Subject{"ib_read_lat", read}, Subject{"bare loop", [&](int round) { return TouchLocally(round, bare); }},
      Subject{"bare loop with a READ", [&](int round) { return TouchBareOverRdma(bench.url(), round, bare_read); }},
      Subject{"farfault as it ships",
              [&](int round) { return TouchOverRdma(bench.source, as_it_ships, round, sleeping); }}};
  absl::Status status = RunInterleaved(subjects, rounds, [&](int round) { bench.progress.Round(round); });
  if (!status.ok()) return status;
  bench.progress.End();

  const std::vector<double> floor = Sums(read_latency, bare.p50);
  report.ratios.push_back({"far fault to resume over rdma: p50 / (ib_read_lat + bare loop)",
                           PairedRatio(farfault.p50, floor), Limit::AtMost(1.25)});
  report.figures.push_back({"far fault to resume over rdma: p50", SpreadOf(farfault.p50), "ns"});
  report.figures.push_back({"ib_read_lat of 4 KiB: median", SpreadOf(read_latency), "ns"});
  report.figures.push_back({"bare loop of UFFDIO_CONTINUE: p50", SpreadOf(bare.p50), "ns"});
  report.figures.push_back({"bare loop of READ and UFFDIO_CONTINUE: p50", SpreadOf(bare_read.p50), "ns"});
  report.figures.push_back({"far fault to resume over rdma: p50 / bare loop of READ and UFFDIO_CONTINUE",
                            PairedRatio(farfault.p50, bare_read.p50), "times"});
  report.figures.push_back({"far fault to resume over rdma: p99", SpreadOf(farfault.p99), "ns"});
  report.figures.push_back({"far fault to resume over rdma, default spin: p50", SpreadOf(sleeping.p50), "ns"});
  report.figures.push_back({"far fault to resume over rdma, default spin: p99", SpreadOf(sleeping.p99), "ns"});
  return absl::OkStatus();
}

}  // namespace

RdmaMeasurement FaultOverRdma() { return {"fault to resume over rdma", {{"guest", kBytes}}, Measure}; }

}  // namespace farfault::bench
