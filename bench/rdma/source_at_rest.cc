#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
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
// More than is touched: the last page would end the session, which the source hears of.
constexpr std::uint64_t kBytes = (kFaultsPerRound + 64) * kSmallPage;

/// What the source's process did in a stretch of time, per round.
struct Work {
  std::vector<double> system_calls;
  std::vector<double> wakeups;
  std::vector<double> cpu_nanoseconds;

  void Add(const Activity& before, const Activity& after) {
    system_calls.push_back(static_cast<double>(after.system_calls - before.system_calls));
    wakeups.push_back(static_cast<double>(after.wakeups - before.wakeups));
    cpu_nanoseconds.push_back(static_cast<double>(after.cpu_nanoseconds - before.cpu_nanoseconds));
  }
};

struct Rounds {
  Work serving;
  Work idle;  // In as long.
  std::vector<double> faults;
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

// The source asks every 5 s of silence whether its peer is there, whatever is served meanwhile. Rounds are alike from
// their beginning, so that the question would be in all of them or in none.
void WaitForAnyMoment(int round) {
  constexpr std::int64_t kQuestionEvery = 5000;
  std::mt19937 random(static_cast<std::uint32_t>(round));
  std::this_thread::sleep_for(
      std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, kQuestionEvery)(random)));
}

absl::StatusOr<Activity> Since(const Activity& before, ProcessWatch& watch) {
  auto after = watch.Read();
  if (after.ok() && after->threads != before.threads) return absl::InternalError("a thread of the source has ended");
  return after;
}

absl::Status MeasureRound(SourceHost& source, const TargetSpec& target, int round, Rounds& rounds) {
  auto move = RemoteMove::Prepare(source, {{"guest", kBytes}}, {.push = false}, target);
  if (!move.ok()) return move.status();
  if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
  auto watch = ProcessWatch::Start(source.pid());
  if (!watch.ok()) return watch.status();
  if (absl::Status status = WaitUntilStill(*watch); !status.ok()) return status;
  WaitForAnyMoment(round);
  const std::uint64_t faults_before = (*move)->Stats().faults_network;
  Toucher guest((*move)->memory(0), static_cast<std::uint64_t>(round), /*check=*/true);
  const auto before = watch->Read();
  if (!before.ok()) return before.status();
  const auto began = std::chrono::steady_clock::now();
  guest.Touch(kFaultsPerRound);
  const auto took = std::chrono::steady_clock::now() - began;
  const auto served = Since(*before, *watch);
  if (!served.ok()) return served.status();
  std::this_thread::sleep_for(took);
  const auto rested = Since(*served, *watch);
  if (!rested.ok()) return rested.status();
  const std::uint64_t faults = (*move)->Stats().faults_network - faults_before;
  if (absl::Status status = (*move)->End(/*drain=*/false); !status.ok()) return status;
  if (guest.wrong_pages() > 0) return absl::DataLossError(fmt::format("{} pages arrived wrong", guest.wrong_pages()));
  if (faults < kFaultsPerRound) {
    return absl::InternalError(fmt::format("only {} of {} touches were network faults", faults, kFaultsPerRound));
  }
  rounds.serving.Add(*before, *served);
  rounds.idle.Add(*served, *rested);
  rounds.faults.push_back(static_cast<double>(faults));
  return absl::OkStatus();
}

void AddFigures(const std::string& when, const Work& work, Report& report) {
  report.figures.push_back({"system calls of the source, " + when, SpreadOf(work.system_calls), "calls"});
  report.figures.push_back({"wakeups of the source, " + when, SpreadOf(work.wakeups), "wakeups"});
  report.figures.push_back({"CPU of the source, " + when, SpreadOf(work.cpu_nanoseconds), "ns"});
  const std::array<double, 1> busy = {
      static_cast<double>(std::ranges::count_if(work.wakeups, [](double wakeups) { return wakeups > 0; }))};
  report.figures.push_back({"rounds in which the source woke, " + when, SpreadOf(busy), "rounds"});
}

absl::Status Measure(const RdmaBench& bench, Report& report) {
  const int count = bench.options.RoundsOr(15, 7);
  bench.progress.Begin("source at rest", count);
  const TargetSpec target{.listen = bench.url()};
  Rounds rounds;
  for (int round = 0; round < count; ++round) {
    bench.progress.Round(round);
    if (absl::Status status = MeasureRound(bench.source, target, round, rounds); !status.ok()) return status;
  }
  bench.progress.End();
  report.ratios.push_back({"system calls of the source / demand-only far fault",
                           PairedRatio(rounds.serving.system_calls, rounds.faults), Limit::AtMost(0)});
  report.ratios.push_back({"wakeups of the source / demand-only far fault",
                           PairedRatio(rounds.serving.wakeups, rounds.faults), Limit::AtMost(0)});
  AddFigures("serving", rounds.serving, report);
  AddFigures("in as long without faults", rounds.idle, report);
  report.figures.push_back({"far faults per round", SpreadOf(rounds.faults), "faults"});
  return absl::OkStatus();
}

}  // namespace

RdmaMeasurement SourceAtRest() { return {"source at rest", {{"guest", kBytes}}, Measure}; }

}  // namespace farfault::bench
