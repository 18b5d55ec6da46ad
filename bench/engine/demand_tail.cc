#include "bench/engine/demand_tail.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/core/interleave.h"
#include "bench/engine/measurements.h"
#include "bench/engine/remote_move.h"
#include "bench/engine/source_host.h"
#include "bench/engine/toucher.h"

namespace farfault::bench {
namespace {

constexpr std::size_t kTouchesPerBlock = 16;
constexpr std::size_t kMinTouches = 500;

struct Tail {
  std::vector<double> p50;
  std::vector<double> p99;
  std::vector<double> touches;
  std::vector<double> bytes_per_second;  // Of the push, while the guest touched.
};

absl::Status WaitUntilPushing(const RemoteMove& move, std::uint64_t pages) {
  const std::int64_t deadline = MonotonicNanos() + 5'000'000'000;
  while (move.Stats().pages_pushed < pages) {
    if (MonotonicNanos() > deadline) return absl::DeadlineExceededError("the push does not begin");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return absl::OkStatus();
}

/// Touches in blocks as long as the push lasts. A block counts only when the push was still on after it.
void TouchDuringPush(const DemandTailSpec& spec, const RemoteMove& move, Toucher& guest, Tail& tail) {
  const std::uint64_t pages_before = move.Stats().pages_pushed;
  const std::int64_t began = MonotonicNanos();
  std::uint64_t pages = pages_before;
  while (guest.times().size() < spec.max_touches && guest.left() > 0) {
    const std::size_t touched = guest.Touch(kTouchesPerBlock);
    const std::uint64_t now = move.Stats().pages_pushed;
    if (now + spec.margin_bytes / kSmallPage > spec.pushed_bytes / kSmallPage) {
      guest.Forget(touched);
      break;
    }
    pages = now;
  }
  const auto seconds = static_cast<double>(MonotonicNanos() - began) * 1e-9;
  tail.bytes_per_second.push_back(static_cast<double>((pages - pages_before) * kSmallPage) / seconds);
}

absl::Status MeasureOnce(const DemandTailSpec& spec, SourceHost& source, bool push, int round, Tail& tail) {
  MoveSpec how{.push = push};
  constexpr std::string_view kPlainOrder = "none";
  kPlainOrder.copy(how.predictor.data(), kPlainOrder.size());
  auto move = RemoteMove::Prepare(source, RegionsOf(spec), how, spec.target);
  if (!move.ok()) return move.status();
  if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
  Toucher guest((*move)->memory(1), static_cast<std::uint64_t>(round), /*check=*/true);
  if (push) {
    if (absl::Status status = WaitUntilPushing(**move, spec.margin_bytes / kSmallPage); !status.ok()) return status;
    TouchDuringPush(spec, **move, guest, tail);
  } else {
    guest.Touch(spec.max_touches);
  }
  const std::size_t touches = guest.times().size();
  const SessionStats stats = (*move)->Stats();
  tail.p50.push_back(Quantile(guest.times(), 0.50));
  tail.p99.push_back(Quantile(guest.times(), 0.99));
  tail.touches.push_back(static_cast<double>(touches));
  if (absl::Status status = (*move)->End(/*drain=*/false); !status.ok()) return status;
  if (guest.wrong_pages() > 0) return absl::DataLossError(fmt::format("{} pages arrived wrong", guest.wrong_pages()));
  if (stats.faults_network < touches) {
    return absl::InternalError(
        fmt::format("only {} of {} touches went over the network", stats.faults_network, touches));
  }
  if (touches < kMinTouches) {
    return absl::InternalError(
        fmt::format("only {} touches while the push ran: too few for a 99th percentile; it must "
                    "run for longer, or faults take too long",
                    touches));
  }
  return absl::OkStatus();
}

}  // namespace

// The push takes the pages in ascending order. The guest touches only the second region, which it therefore does not
// reach while it works on the first: every touch has to go over the network.
std::vector<RegionSpec> RegionsOf(const DemandTailSpec& spec) {
  return {{"pushed", spec.pushed_bytes}, {"touched", spec.touched_bytes}};
}

absl::Status MeasureDemandTailOn(const DemandTailSpec& spec, SourceHost& source, int rounds, RoundProgress& progress,
                                 Report& report) {
  progress.Begin(fmt::format("demand tail over {} during push", spec.fabric), rounds);
  Tail pushing;
  Tail alone;
  const std::array<Subject, 2> subjects = {
      Subject{"with a push", [&](int round) { return MeasureOnce(spec, source, true, round, pushing); }},
      Subject{"without a push", [&](int round) { return MeasureOnce(spec, source, false, round, alone); }}};
  absl::Status status = RunInterleaved(subjects, rounds, [&](int round) { progress.Round(round); });
  if (!status.ok()) return status;
  progress.End();

  const std::string p50 = fmt::format("demand p50 over {}", spec.fabric);
  const std::string p99 = fmt::format("demand p99 over {}", spec.fabric);
  report.ratios.push_back({p99 + " during a push / without", PairedRatio(pushing.p99, alone.p99), Limit::AtMost(2)});
  report.figures.push_back({p99 + " during a push", SpreadOf(pushing.p99), "ns"});
  report.figures.push_back({p99 + " without a push", SpreadOf(alone.p99), "ns"});
  report.figures.push_back({p50 + " during a push", SpreadOf(pushing.p50), "ns"});
  report.figures.push_back({p50 + " without a push", SpreadOf(alone.p50), "ns"});
  report.figures.push_back({"push while the guest faults", SpreadOf(pushing.bytes_per_second), "bytes/s"});
  report.figures.push_back({"network faults per round during a push", SpreadOf(pushing.touches), "faults"});
  return absl::OkStatus();
}

absl::Status MeasureDemandTail(const RunOptions& options, RoundProgress& progress, Report& report) {
  const DemandTailSpec spec{.fabric = "tcp",
                            .target = {},
                            .pushed_bytes = std::uint64_t{3} << 29,
                            .touched_bytes = std::uint64_t{64} << 20,
                            .margin_bytes = std::uint64_t{32} << 20,
                            .max_touches = 8192};
  if (absl::Status status = RequireMemory(3 * (spec.pushed_bytes + spec.touched_bytes)); !status.ok()) return status;
  auto source = SourceHost::Start(RegionsOf(spec));
  if (!source.ok()) return source.status();
  return MeasureDemandTailOn(spec, **source, options.RoundsOr(11, 5), progress, report);
}

}  // namespace farfault::bench
