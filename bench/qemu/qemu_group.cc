#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/core/interleave.h"
#include "bench/group.h"
#include "bench/qemu/guest_move.h"

namespace farfault::bench {
namespace {

constexpr std::array<const char*, 4> kPatterns = {"random", "sequential", "stride", "hotcold"};
constexpr std::array<const char*, 2> kRoles = {"writer", "reader"};

std::vector<GuestWorkload> Workloads() {
  std::vector<GuestWorkload> workloads;
  for (const char* const pattern : kPatterns) {
    for (const char* const role : kRoles) workloads.push_back({pattern, role});
  }
  return workloads;
}

/// A folder for sockets and files, gone with this object.
class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "farfault-bench-XXXXXX").string()) {
    made_ = mkdtemp(path_.data()) != nullptr;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    if (made_) std::filesystem::remove_all(path_, ignored);
  }
  bool made() const { return made_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  bool made_ = false;
};

struct Costs {
  const char* name;
  Mover mover;
  std::vector<MoveCost> rounds{};
  int lost = 0;  ///< Moves that failed, or after which the guest did not live on.

  std::vector<double> Of(double MoveCost::* cost) const {
    std::vector<double> values;
    for (const MoveCost& round : rounds) values.push_back(round.*cost);
    return values;
  }
};

struct CostName {
  const char* name;
  double MoveCost::* cost;
  const char* unit;
};
constexpr std::array<CostName, 11> kFigures = {{
    {"downtime", &MoveCost::downtime_us, "us"},
    {"total time", &MoveCost::total_ms, "ms"},
    {"getting the destination ready, before", &MoveCost::ready_ms, "ms"},
    {"that and the total time", &MoveCost::whole_ms, "ms"},
    {"vCPU blocked meanwhile, before the move", &MoveCost::ready_blocked_ms, "ms"},
    {"vCPU blocked, as the guest saw it", &MoveCost::blocked_ms, "ms"},
    {"vCPU blocked, as reported", &MoveCost::reported_blocked_ms, "ms"},
    {"network faults", &MoveCost::network_faults, ""},
    {"stall p50", &MoveCost::stall_p50_us, "us"},
    {"stall p99", &MoveCost::stall_p99_us, "us"},
    {"stall max", &MoveCost::stall_max_us, "us"},
}};
// What only farfault says.
constexpr std::array<CostName, 2> kOwnFigures = {{
    {"downtime, as qemu-migrate saw it", &MoveCost::command_downtime_us, "us"},
    {"SwitchOver", &MoveCost::switchover_us, "us"},
}};

// Against the better of QEMU's two modes, round by round.
Spread AgainstBest(const std::array<Costs, 3>& costs, double MoveCost::* cost) {
  const std::vector<double> ours = costs[0].Of(cost);
  std::vector<double> best = costs[1].Of(cost);
  const std::vector<double> preempt = costs[2].Of(cost);
  for (std::size_t i = 0; i < best.size(); ++i) best[i] = std::min(best[i], preempt[i]);
  return PairedRatio(ours, best);
}

// QEMU's own migration of an emulated guest that writes ends now and then with a guest that panics. Such a move is
// counted and repeated, whoever made it.
constexpr int kMostLost = 5;

absl::Status MoveOnce(const GuestWorkload& workload, const std::string& folder, RoundProgress& progress, Costs& mover) {
  for (;;) {
    GuestMove move(workload, folder);
    auto cost = move.Run(mover.mover);
    if (cost.ok()) mover.rounds.push_back(*cost);
    if (cost.ok() || absl::IsUnavailable(cost.status())) return cost.status();
    progress.Note(fmt::format("{} has lost a guest: {}", mover.name, cost.status().ToString()));
    if (++mover.lost == kMostLost) return cost.status();
  }
}

absl::Status Measure(const GuestWorkload& workload, const RunOptions& options, RoundProgress& progress,
                     Report& report) {
  const Folder folder;
  if (!folder.made())
    return absl::UnavailableError("no folder for sockets can be made in the folder for temporary files");
  const int rounds = options.RoundsOr(5, 2);
  std::array<Costs, 3> costs = {{{"farfault", Mover::kFarfault},
                                 {"QEMU postcopy", Mover::kPostcopy},
                                 {"QEMU postcopy-preempt", Mover::kPostcopyPreempt}}};
  std::vector<Subject> subjects;
  for (Costs& mover : costs) {
    subjects.push_back({mover.name, [&](int) { return MoveOnce(workload, folder.path(), progress, mover); }});
  }
  progress.Begin(workload.name(), rounds);
  if (absl::Status status = RunInterleaved(subjects, rounds, [&](int round) { progress.Round(round); }); !status.ok()) {
    return status;
  }
  progress.End();
  const double blocked_limit = workload.role == "reader" ? 0.1 : 0.5;
  const std::string name = workload.name();
  report.ratios.push_back({fmt::format("{}: vCPU blocked / QEMU's best", name),
                           AgainstBest(costs, &MoveCost::blocked_ms), Limit::AtMost(blocked_limit)});
  report.ratios.push_back(
      {fmt::format("{}: total time / QEMU's best", name), AgainstBest(costs, &MoveCost::total_ms), Limit::AtMost(1)});
  report.ratios.push_back(
      {fmt::format("{}: downtime / QEMU's best", name), AgainstBest(costs, &MoveCost::downtime_us), Limit::AtMost(1)});
  const auto lost = [](const Costs& mover) {
    const std::array<double, 1> count{static_cast<double>(mover.lost)};
    return SpreadOf(count);
  };
  report.ratios.push_back({fmt::format("{}: guests that farfault lost", name), lost(costs[0]), Limit::AtMost(0)});
  for (const Costs& mover : costs) {
    report.figures.push_back({fmt::format("{}: guests lost, {}", name, mover.name), lost(mover), ""});
  }
  for (const CostName& figure : kFigures) {
    for (const Costs& mover : costs) {
      report.figures.push_back(
          {fmt::format("{}: {}, {}", name, figure.name, mover.name), SpreadOf(mover.Of(figure.cost)), figure.unit});
    }
  }
  for (const CostName& figure : kOwnFigures) {
    report.figures.push_back(
        {fmt::format("{}: {}, {}", name, figure.name, costs[0].name), SpreadOf(costs[0].Of(figure.cost)), figure.unit});
  }
  return absl::OkStatus();
}

Report Run(const RunOptions& options, RoundProgress& progress) {
  Report report;
  for (const GuestWorkload& workload : Workloads()) {
    if (!options.Wants(workload.name())) continue;
    const absl::Status status = Measure(workload, options, progress, report);
    if (!status.ok()) {
      report.omissions.push_back({workload.name(), std::string(status.message()), !absl::IsUnavailable(status)});
    }
  }
  return report;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const GuestWorkload& workload : Workloads()) names.push_back(workload.name());
  return names;
}

const GroupRegistration registration({"qemu", "a Linux guest of QEMU, moved by farfault and by QEMU's own postcopy",
                                      Names(), Run});

}  // namespace
}  // namespace farfault::bench
