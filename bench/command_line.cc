#include "bench/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>

#include "bench/group.h"
#include "bench/plot.h"
#include "bench/print_report.h"
#include "bench/round_progress.h"
#include "lib/cli/option_types.h"
#include "lib/cli/output_file.h"

namespace farfault::bench {
namespace {

constexpr int kHolds = 0;
constexpr int kMissed = 1;
constexpr int kUsage = 2;
constexpr int kFailed = 3;

constexpr const char* kFooter =
    "Exit status: 0 every ratio that was measured holds its limit, 1 one does not, 2 bad usage, 3 a measurement "
    "failed.\nWhat this machine cannot measure (too little memory) is said and does not change the exit status.\n"
    "Absolute figures depend on the machine and on what else runs; the ratios compare within one run.";

std::string GroupNames() {
  std::string names;
  for (const Group& group : Groups()) names += (names.empty() ? "" : ", ") + group.name;
  return names;
}

void PrintGroups() {
  for (const Group& group : Groups()) {
    fmt::print("{:<8} {}\n", group.name, group.summary);
    for (const std::string& measurement : group.measurements) fmt::print("           {}\n", measurement);
  }
  fmt::print("\n`./dev bench GROUP` runs one; --filter TEXT picks measurements in it; --help says more.\n");
}

int ExitStatusOf(const Report& report) {
  if (report.any_failed()) return kFailed;
  return report.all_hold() ? kHolds : kMissed;
}

int NoPlot(const absl::Status& status) {
  fmt::print(stderr, "farfault_bench: {}\n", std::string(status.message()));
  return kFailed;
}

int RunGroup(const Group& group, const RunOptions& options, bool json, const std::string& plot) {
  if (!plot.empty()) {
    if (const absl::Status can_plot = CheckPlotting(); !can_plot.ok()) return NoPlot(can_plot);
  }
  RoundProgress progress;
  Report report = group.run(options, progress);
  report.group = group.name;
  if (report.ratios.empty() && report.figures.empty() && report.omissions.empty()) {
    fmt::print(stderr, "farfault_bench: nothing in group {} is called \"{}\"; without arguments the names are listed\n",
               group.name, options.filter);
    return kUsage;
  }
  fmt::print("{}", json ? ToJson(report).dump(2) + "\n" : RenderReport(report));
  std::fflush(stdout);
  if (!plot.empty()) {
    if (const absl::Status plotted = PlotRatios(report, plot); !plotted.ok()) return NoPlot(plotted);
  }
  return ExitStatusOf(report);
}

}  // namespace

int RunCommandLine(int argc, char** argv) {
  CLI::App app{"Measures farfault side by side with what it is held against, and prints ratios", "farfault_bench"};
  app.footer(kFooter);
  std::string name;
  RunOptions options;
  bool json = false;
  std::string plot;
  app.add_option("group", name, "What to measure: " + GroupNames() + ". Without it the groups are listed");
  app.add_flag("--quick", options.quick, "Fewer rounds: a first look");
  app.add_flag("--json", json, "One JSON object on standard output");
  app.add_option("--rounds", options.rounds, "Rounds per measurement")->check(CLI::Range(1, 10000));
  app.add_option("--filter", options.filter, "Only measurements whose name contains this");
  AddOutputFile(app, "--plot", plot, CheckWritable,
                "Draw the ratios against their limits into this PNG file (needs matplotlib)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kHolds : kUsage;
  }
  if (name.empty()) {
    PrintGroups();
    return kHolds;
  }
  const auto group = std::find_if(Groups().begin(), Groups().end(), [&](const Group& g) { return g.name == name; });
  if (group == Groups().end()) {
    fmt::print(stderr, "farfault_bench: there is no group \"{}\"; there are {}\n", name, GroupNames());
    return kUsage;
  }
  return RunGroup(*group, options, json, plot);
}

}  // namespace farfault::bench
