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

// The push takes the pages in ascending order. The guest touches only the second region, which it therefore does not
// reach while it works on the first: every touch has to go over the network.
constexpr std::uint64_t kPushedBytes = std::uint64_t{3} << 29;
constexpr std::uint64_t kTouchedBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kPushedPages = kPushedBytes / kSmallPage;
constexpr std::size_t kTouchesPerBlock = 16;
constexpr std::size_t kMaxTouches = 8192;
constexpr std::size_t kMinTouches = 500;
// The last blocks of a push are left out, so that none is measured when it has ended already.
constexpr std::uint64_t kMarginPages = (std::uint64_t{32} << 20) / kSmallPage;

struct Tail {
  std::vector<double> p50;
  std::vector<double> p99;
  std::vector<double> touches;
  std::vector<double> bytes_per_second;  // Of the push, while the guest touched.
};

absl::Status WaitUntilPushing(const RemoteMove& move) {
  const std::int64_t deadline = MonotonicNanos() + 5'000'000'000;
  while (move.Stats().pages_pushed < kMarginPages) {
    if (MonotonicNanos() > deadline) return absl::DeadlineExceededError("the push does not begin");
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return absl::OkStatus();
}

/// Touches in blocks as long as the push lasts. A block counts only when the push was still on after it.
void TouchDuringPush(const RemoteMove& move, Toucher& guest, Tail& tail) {
  const std::uint64_t pages_before = move.Stats().pages_pushed;
  const std::int64_t began = MonotonicNanos();
  std::uint64_t pages = pages_before;
  while (guest.times().size() < kMaxTouches && guest.left() > 0) {
    const std::size_t touched = guest.Touch(kTouchesPerBlock);
    const std::uint64_t now = move.Stats().pages_pushed;
    if (now + kMarginPages > kPushedPages) {
      guest.Forget(touched);
      break;
    }
    pages = now;
  }
  const auto seconds = static_cast<double>(MonotonicNanos() - began) * 1e-9;
  tail.bytes_per_second.push_back(static_cast<double>((pages - pages_before) * kSmallPage) / seconds);
}

absl::Status MeasureOnce(SourceHost& source, const std::vector<RegionSpec>& regions, bool push, int round, Tail& tail) {
  MoveSpec spec{.push = push};
  constexpr std::string_view kPlainOrder = "none";
  kPlainOrder.copy(spec.predictor.data(), kPlainOrder.size());
  auto move = RemoteMove::Prepare(source, regions, spec);
  if (!move.ok()) return move.status();
  if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
  Toucher guest((*move)->memory(1), static_cast<std::uint64_t>(round), /*check=*/true);
  if (push) {
    if (absl::Status status = WaitUntilPushing(**move); !status.ok()) return status;
    TouchDuringPush(**move, guest, tail);
  } else {
    guest.Touch(kMaxTouches);
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

absl::Status MeasureDemandTail(const RunOptions& options, RoundProgress& progress, Report& report) {
  if (absl::Status status = RequireMemory(3 * (kPushedBytes + kTouchedBytes)); !status.ok()) return status;
  const int rounds = options.RoundsOr(11, 5);
  progress.Begin("demand tail during push", rounds);
  const std::vector<RegionSpec> regions = {{"pushed", kPushedBytes}, {"touched", kTouchedBytes}};
  auto source = SourceHost::Start(regions);
  if (!source.ok()) return source.status();
  Tail pushing;
  Tail alone;
  const std::array<Subject, 2> subjects = {
      Subject{"with a push", [&](int round) { return MeasureOnce(**source, regions, true, round, pushing); }},
      Subject{"without a push", [&](int round) { return MeasureOnce(**source, regions, false, round, alone); }}};
  absl::Status status = RunInterleaved(subjects, rounds, [&](int round) { progress.Round(round); });
  if (!status.ok()) return status;
  progress.End();

  report.ratios.push_back(
      {"demand p99 over tcp during a push / without", PairedRatio(pushing.p99, alone.p99), Limit::AtMost(2)});
  report.figures.push_back({"demand p99 over tcp during a push", SpreadOf(pushing.p99), "ns"});
  report.figures.push_back({"demand p99 over tcp without a push", SpreadOf(alone.p99), "ns"});
  report.figures.push_back({"demand p50 over tcp during a push", SpreadOf(pushing.p50), "ns"});
  report.figures.push_back({"demand p50 over tcp without a push", SpreadOf(alone.p50), "ns"});
  report.figures.push_back({"push while the guest faults", SpreadOf(pushing.bytes_per_second), "bytes/s"});
  report.figures.push_back({"network faults per round during a push", SpreadOf(pushing.touches), "faults"});
  return absl::OkStatus();
}

}  // namespace farfault::bench
