#include <fmt/format.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "bench/engine/measurements.h"
#include "bench/engine/remote_move.h"
#include "bench/engine/source_host.h"
#include "bench/engine/toucher.h"

namespace farfault::bench {
namespace {

constexpr std::uint64_t kGuestBytes = std::uint64_t{256} << 20;

struct Transfers {
  double duplicates = 0;
  double pages = 0;
  std::vector<double> percent;  // By run.
  std::vector<double> network_faults;
};

/// Push and demand at once, with everything at its default: the guest touches all its pages at random while they come.
absl::Status MoveOnce(SourceHost& source, const std::vector<RegionSpec>& regions, int round, Transfers& transfers) {
  auto prepared = RemoteMove::Prepare(source, regions, {});
  if (!prepared.ok()) return prepared.status();
  const std::shared_ptr<RemoteMove> move = *std::move(prepared);
  if (absl::Status status = move->SwitchOver(); !status.ok()) return status;
  const auto guest = std::make_shared<Toucher>(move->memory(0), static_cast<std::uint64_t>(round), /*check=*/true);
  std::thread guest_thread([move, guest] { guest->Touch(guest->left()); });
  if (absl::Status status = move->WaitUntilResident(); !status.ok()) {
    guest_thread.detach();  // Parked on a page that never came, until the process ends.
    return status;
  }
  guest_thread.join();
  const SessionStats stats = move->Stats();
  if (absl::Status status = move->End(/*drain=*/true); !status.ok()) return status;
  if (guest->wrong_pages() > 0) return absl::DataLossError(fmt::format("{} pages arrived wrong", guest->wrong_pages()));
  const auto pages = static_cast<double>(stats.pages_pushed + stats.pages_demanded);
  const auto duplicates = static_cast<double>(stats.duplicates);
  transfers.duplicates += duplicates;
  transfers.pages += pages;
  transfers.percent.push_back(100 * duplicates / pages);
  transfers.network_faults.push_back(static_cast<double>(stats.faults_network));
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureDuplicates(const RunOptions& options, RoundProgress& progress, Report& report) {
  if (absl::Status status = RequireMemory(3 * kGuestBytes); !status.ok()) return status;
  const int rounds = options.RoundsOr(20, 5);
  progress.Begin("duplicate pages", rounds);
  const std::vector<RegionSpec> regions = {{"guest", kGuestBytes}};
  auto source = SourceHost::Start(regions);
  if (!source.ok()) return source.status();
  Transfers transfers;
  for (int round = 0; round < rounds; ++round) {
    progress.Round(round);
    if (absl::Status status = MoveOnce(**source, regions, round, transfers); !status.ok()) return status;
  }
  progress.End();
  // The limit is on all runs together; the spread is that of the runs.
  Spread spread = SpreadOf(transfers.percent);
  spread.median = 100 * transfers.duplicates / transfers.pages;
  report.ratios.push_back({"duplicate pages, % of those transferred", spread, Limit::AtMost(0.1)});
  report.figures.push_back(
      {"network faults per 256 MiB, push and demand", SpreadOf(transfers.network_faults), "faults"});
  return absl::OkStatus();
}

}  // namespace farfault::bench
