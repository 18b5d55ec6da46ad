#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "bench/baseline/bare_fault_loop.h"
#include "bench/engine/affinity.h"
#include "bench/engine/local_move.h"
#include "bench/engine/measurements.h"
#include "bench/engine/toucher.h"

namespace farfault::bench {
namespace {

// The pager's CPU and the guest's: each has its own, as a vCPU and a pager do.
constexpr int kPagerCpu = 0;
constexpr int kGuestCpu = 1;

constexpr std::size_t kFaultsPerBlock = 128;
constexpr std::size_t kBlocksPerRound = 16;
constexpr std::size_t kFaultsPerRound = kFaultsPerBlock * kBlocksPerRound;

struct Percentiles {
  std::vector<double> p50;
  std::vector<double> p99;

  void Add(std::span<const double> times) {
    p50.push_back(Quantile(times, 0.50));
    p99.push_back(Quantile(times, 0.99));
  }
};

/// Fresh memory for both, then blocks of faults in turn, so that both see the same machine.
absl::Status MeasureRound(int round, std::chrono::nanoseconds spin, Percentiles& bare, Percentiles& farfault) {
  auto bare_memory = OwnedRegion::CreateShared("bare", kFaultsPerRound * kSmallPage);
  if (!bare_memory.ok()) return bare_memory.status();
  absl::StatusOr<std::unique_ptr<BareFaultLoop>> loop;
  absl::StatusOr<std::unique_ptr<LocalMove>> move;
  {
    const ScopedAffinity on_pager_cpu(kPagerCpu);
    loop = BareFaultLoop::Start(bare_memory->region(), spin);
    if (!loop.ok()) return loop.status();
    move = LocalMove::Start(kFaultsPerRound, absl::FromChrono(spin));
    if (!move.ok()) return move.status();
  }
  const auto seed = static_cast<std::uint64_t>(round);
  Toucher bare_guest(bare_memory->bytes(), seed, /*check=*/false);
  Toucher farfault_guest((*move)->memory(), seed, /*check=*/true);
  {
    const ScopedAffinity on_guest_cpu(kGuestCpu);
    for (std::size_t block = 0; block < kBlocksPerRound; ++block) {
      const bool bare_first = (block + static_cast<std::size_t>(round)) % 2 == 0;
      for (Toucher* guest : {bare_first ? &bare_guest : &farfault_guest, bare_first ? &farfault_guest : &bare_guest}) {
        guest->Touch(kFaultsPerBlock);
        // Both pagers share a CPU: this one shall be asleep before the other one's turn.
        std::this_thread::sleep_for(2 * spin);
      }
    }
  }
  if (farfault_guest.wrong_pages() > 0) {
    return absl::DataLossError(fmt::format("{} pages arrived wrong", farfault_guest.wrong_pages()));
  }
  if (const std::uint64_t faults = (*move)->Stats().faults_network; faults < kFaultsPerRound) {
    return absl::InternalError(fmt::format("only {} of {} touches were network faults", faults, kFaultsPerRound));
  }
  bare.Add(bare_guest.times());
  farfault.Add(farfault_guest.times());
  return absl::OkStatus();
}

absl::Status Measure(const std::string& mode, std::chrono::nanoseconds spin, const RunOptions& options,
                     RoundProgress& progress, Report& report) {
  const int rounds = options.RoundsOr(25, 7);
  const std::string name = "fault to resume, " + mode;
  progress.Begin(name, rounds);
  Percentiles bare;
  Percentiles farfault;
  for (int round = 0; round < rounds; ++round) {
    progress.Round(round);
    if (absl::Status status = MeasureRound(round, spin, bare, farfault); !status.ok()) return status;
  }
  progress.End();
  report.ratios.push_back({name + ": p50 / bare loop", PairedRatio(farfault.p50, bare.p50), Limit::AtMost(1.3)});
  report.figures.push_back({name + ": p50", SpreadOf(farfault.p50), "ns"});
  report.figures.push_back({name + ": p50 of the bare loop", SpreadOf(bare.p50), "ns"});
  report.figures.push_back({name + ": p99", SpreadOf(farfault.p99), "ns"});
  report.figures.push_back({name + ": p99 of the bare loop", SpreadOf(bare.p99), "ns"});
  return absl::OkStatus();
}

}  // namespace

// Longer than it takes to wake a guest's thread on a CPU that has gone to sleep (up to 200 µs in a virtual machine):
// nobody sleeps between two faults.
absl::Status MeasureFaultSpinning(const RunOptions& options, RoundProgress& progress, Report& report) {
  return Measure("spinning", std::chrono::milliseconds(1), options, progress, report);
}

absl::Status MeasureFaultSleeping(const RunOptions& options, RoundProgress& progress, Report& report) {
  return Measure("sleeping", std::chrono::nanoseconds(0), options, progress, report);
}

}  // namespace farfault::bench
