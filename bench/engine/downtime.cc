#include <fmt/format.h>

#include <array>
#include <memory>
#include <vector>

#include "bench/core/interleave.h"
#include "bench/engine/measurements.h"
#include "bench/engine/remote_move.h"
#include "bench/engine/source_host.h"

namespace farfault::bench {
namespace {

constexpr std::uint64_t kSmallGuest = std::uint64_t{256} << 20;
constexpr std::uint64_t kLargeGuest = std::uint64_t{4} << 30;

/// A guest of one size that is handed over again and again.
struct Guest {
  std::vector<RegionSpec> regions;
  std::unique_ptr<SourceHost> source;
  std::vector<double> downtimes;

  absl::Status Start(std::uint64_t bytes) {
    regions = {{"guest", bytes}};
    auto started = SourceHost::Start(regions);
    if (!started.ok()) return started.status();
    source = *std::move(started);
    return absl::OkStatus();
  }

  absl::Status HandOver(const MoveSpec& spec) {
    auto move = RemoteMove::Prepare(*source, regions, spec);
    if (!move.ok()) return move.status();
    if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
    downtimes.push_back(static_cast<double>((*move)->downtime_ns()));
    return (*move)->End(/*drain=*/false);
  }
};

/// Hands a small and a large guest over in turn, with nothing pushed.
absl::Status Compare(const MoveSpec& spec, int rounds, RoundProgress& progress, Guest& small_guest,
                     Guest& large_guest) {
  const std::array<Subject, 2> subjects = {Subject{"256 MiB", [&](int) { return small_guest.HandOver(spec); }},
                                           Subject{"4 GiB", [&](int) { return large_guest.HandOver(spec); }}};
  return RunInterleaved(subjects, rounds, [&](int round) { progress.Round(round); });
}

}  // namespace

absl::Status MeasureDowntime(const RunOptions& options, RoundProgress& progress, Report& report) {
  if (absl::Status status = RequireMemory(2 * (kSmallGuest + kLargeGuest) + (std::uint64_t{1} << 30)); !status.ok()) {
    return status;
  }
  const int rounds = options.RoundsOr(9, 3);
  progress.Begin("downtime", rounds);
  Guest small_guest;
  Guest large_guest;
  if (absl::Status status = small_guest.Start(kSmallGuest); !status.ok()) return status;
  if (absl::Status status = large_guest.Start(kLargeGuest); !status.ok()) return status;
  if (absl::Status status = Compare({.push = false}, rounds, progress, small_guest, large_guest); !status.ok()) {
    return status;
  }
  progress.End();
  report.ratios.push_back(
      {"downtime, 4 GiB / 256 MiB", PairedRatio(large_guest.downtimes, small_guest.downtimes), Limit::AtMost(1.5)});
  report.figures.push_back({"downtime, 4 GiB", SpreadOf(large_guest.downtimes), "ns"});
  report.figures.push_back({"downtime, 256 MiB", SpreadOf(small_guest.downtimes), "ns"});

  // The last look at what was written follows what was sent before: here everything, the most that it can take.
  small_guest.downtimes.clear();
  large_guest.downtimes.clear();
  const int prepaged_rounds = options.RoundsOr(5, 1);
  progress.Begin("downtime, all sent ahead", prepaged_rounds);
  const MoveSpec all_ahead{.push = false, .prepage = true, .dirty_pages = 100};
  if (absl::Status status = Compare(all_ahead, prepaged_rounds, progress, small_guest, large_guest); !status.ok()) {
    return status;
  }
  progress.End();
  report.figures.push_back({"downtime, 4 GiB, all sent ahead", SpreadOf(large_guest.downtimes), "ns"});
  report.figures.push_back({"downtime, 256 MiB, all sent ahead", SpreadOf(small_guest.downtimes), "ns"});
  return absl::OkStatus();
}

absl::Status MeasureMetadata(const RunOptions& options, RoundProgress& progress, Report& report) {
  if (absl::Status status = RequireMemory(3 * kSmallGuest); !status.ok()) return status;
  const int rounds = options.RoundsOr(1, 1);
  progress.Begin("page metadata", rounds);
  Guest guest;
  if (absl::Status status = guest.Start(kSmallGuest); !status.ok()) return status;
  // Everything on: what pre-paging and its dirty tracking keep per page counts as well.
  auto move = RemoteMove::Prepare(*guest.source, guest.regions, {.prepage = true, .dirty_pages = 100});
  if (!move.ok()) return move.status();
  if (absl::Status status = (*move)->SwitchOver(); !status.ok()) return status;
  if (absl::Status status = (*move)->WaitUntilResident(); !status.ok()) return status;
  const std::array<double, 1> destination = {(*move)->Stats().metadata_bytes_per_page};
  if (absl::Status status = (*move)->End(/*drain=*/true); !status.ok()) return status;
  const std::array<double, 1> source = {(*move)->source_metadata_per_page()};
  progress.End();
  report.ratios.push_back({"metadata bytes per 4 KiB page, source", SpreadOf(source), Limit::AtMost(3)});
  report.ratios.push_back({"metadata bytes per 4 KiB page, destination", SpreadOf(destination), Limit::AtMost(3)});
  return absl::OkStatus();
}

}  // namespace farfault::bench
