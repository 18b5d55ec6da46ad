#include <fmt/format.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "bench/engine/remote_move.h"
#include "bench/engine/source_host.h"
#include "bench/engine/toucher.h"
#include "bench/rdma/measurements.h"
#include "bench/rdma/process_activity.h"

namespace farfault::bench {
namespace {

constexpr std::size_t kFaultsPerRound = 1024;
constexpr std::uint64_t kBytes = kFaultsPerRound * kSmallPage;

/// What the source's process did while the faults were served, per round.
struct Work {
  std::vector<double> system_calls;
  std::vector<double> wakeups;
  std::vector<double> cpu_nanoseconds;
  std::vector<double> faults;

  void Add(const Activity& before, const Activity& after, std::uint64_t served) {
    system_calls.push_back(static_cast<double>(after.system_calls - before.system_calls));
    wakeups.push_back(static_cast<double>(after.wakeups - before.wakeups));
    cpu_nanoseconds.push_back(static_cast<double>(after.cpu_nanoseconds - before.cpu_nanoseconds));
    faults.push_back(static_cast<double>(served));
  }
};

// What the switchover has left to do is not the faults'.
absl::Status WaitUntilStill(ProcessWatch& watch) {
  std::uint64_t seen = 0;
  for (int tries = 0; tries < 20; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    const auto activity = watch.Read();
    if (!activity.ok()) return activity.status();
    if (activity->wakeups == std::exchange(seen, activity->wakeups)) return absl::OkStatus();
  }
  return absl::InternalError("the source does not come to rest although nothing is left to push");
}

absl::Status MeasureRound(SourceHost& source, const TargetSpec& target, int round, Work& work) {
  auto move = RemoteMove::Prepare(source, {{"guest", kBytes}}, {.push = false}, target);
  if (!move.ok()) return move.status();
  if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
  auto watch = ProcessWatch::Start(source.pid());
  if (!watch.ok()) return watch.status();
  if (absl::Status status = WaitUntilStill(*watch); !status.ok()) return status;
  const std::uint64_t faults_before = (*move)->Stats().faults_network;
  Toucher guest((*move)->memory(0), static_cast<std::uint64_t>(round), /*check=*/true);
  const auto before = watch->Read();
  if (!before.ok()) return before.status();
  guest.Touch(kFaultsPerRound);
  const auto after = watch->Read();
  if (!after.ok()) return after.status();
  if (after->threads != before->threads) return absl::InternalError("a thread of the source ended during the faults");
  const std::uint64_t faults = (*move)->Stats().faults_network - faults_before;
  if (absl::Status status = (*move)->End(/*drain=*/false); !status.ok()) return status;
  if (guest.wrong_pages() > 0) return absl::DataLossError(fmt::format("{} pages arrived wrong", guest.wrong_pages()));
  if (faults < kFaultsPerRound) {
    return absl::InternalError(fmt::format("only {} of {} touches were network faults", faults, kFaultsPerRound));
  }
  work.Add(*before, *after, faults);
  return absl::OkStatus();
}

absl::Status Measure(const RdmaBench& bench, Report& report) {
  const int rounds = bench.options.RoundsOr(15, 5);
  bench.progress.Begin("source at rest", rounds);
  const TargetSpec target{.listen = bench.url()};
  Work work;
  for (int round = 0; round < rounds; ++round) {
    bench.progress.Round(round);
    if (absl::Status status = MeasureRound(bench.source, target, round, work); !status.ok()) return status;
  }
  bench.progress.End();
  report.ratios.push_back({"system calls of the source / demand-only far fault",
                           PairedRatio(work.system_calls, work.faults), Limit::AtMost(0)});
  report.ratios.push_back(
      {"wakeups of the source / demand-only far fault", PairedRatio(work.wakeups, work.faults), Limit::AtMost(0)});
  report.figures.push_back({"system calls of the source per round", SpreadOf(work.system_calls), "calls"});
  report.figures.push_back({"wakeups of the source per round", SpreadOf(work.wakeups), "wakeups"});
  report.figures.push_back({"CPU of the source per round", SpreadOf(work.cpu_nanoseconds), "ns"});
  report.figures.push_back({"far faults per round", SpreadOf(work.faults), "faults"});
  return absl::OkStatus();
}

}  // namespace

RdmaMeasurement SourceAtRest() { return {"source at rest", {{"guest", kBytes}}, Measure}; }

}  // namespace farfault::bench
