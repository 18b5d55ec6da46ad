#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "bench/baseline/perftest.h"
#include "bench/core/interleave.h"
#include "bench/engine/image.h"
#include "bench/engine/remote_move.h"
#include "bench/engine/source_host.h"
#include "bench/rdma/measurements.h"

namespace farfault::bench {
namespace {

constexpr std::uint64_t kImageBytes = std::uint64_t{64} << 20;
constexpr std::uint32_t kMessageBytes = 64u << 10;

absl::Status PushOnce(SourceHost& source, const TargetSpec& target, std::vector<double>& bytes_per_second) {
  auto move = RemoteMove::Prepare(source, {{"guest", kImageBytes}}, {}, target);
  if (!move.ok()) return move.status();
  if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
  if (absl::Status status = (*move)->WaitUntilResident(); !status.ok()) return status;
  const auto seconds = static_cast<double>(MonotonicNanos() - (*move)->stopped_at()) * 1e-9;
  bytes_per_second.push_back(static_cast<double>(kImageBytes) / seconds);
  if (absl::Status status = (*move)->End(/*drain=*/true); !status.ok()) return status;
  const std::uint64_t wrong = CountWrongPages((*move)->memory(0));
  return wrong == 0 ? absl::OkStatus() : absl::DataLossError(fmt::format("{} pages arrived wrong", wrong));
}

absl::Status Measure(const RdmaBench& bench, Report& report) {
  const int rounds = bench.options.RoundsOr(11, 5);
  bench.progress.Begin("push over rdma", rounds);
  const TargetSpec target{.listen = bench.url()};
  std::vector<double> pushed;
  std::vector<double> written;
  const auto write = [&](int) -> absl::Status {
    const auto rate = WriteBandwidth(
        {.address = bench.address, .message_bytes = kMessageBytes, .iterations = kImageBytes / kMessageBytes});
    if (!rate.ok()) return rate.status();
    written.push_back(*rate);
    return absl::OkStatus();
  };
  const std::array<Subject, 2> subjects = {
      Subject{"push over rdma", [&](int) { return PushOnce(bench.source, target, pushed); }},
      Subject{"ib_write_bw", write}};
  absl::Status status = RunInterleaved(subjects, rounds, [&](int round) { bench.progress.Round(round); });
  if (!status.ok()) return status;
  bench.progress.End();
  report.ratios.push_back(
      {"push over rdma until mapped / ib_write_bw of 64 KiB", PairedRatio(pushed, written), Limit::AtLeast(0.9)});
  report.figures.push_back({"push over rdma until mapped", SpreadOf(pushed), "bytes/s"});
  report.figures.push_back({"ib_write_bw of 64 KiB", SpreadOf(written), "bytes/s"});
  return absl::OkStatus();
}

}  // namespace

RdmaMeasurement PushOverRdma() { return {"push over rdma", {{"guest", kImageBytes}}, Measure}; }

}  // namespace farfault::bench
