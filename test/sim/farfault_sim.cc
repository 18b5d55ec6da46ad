// Runs simulated migrations, one per seed, and says what did not hold.

#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "lib/sim/world.h"
#include "test/sim/crash_note.h"

namespace {

using farfault::sim::Describe;
using farfault::sim::RandomWorld;
using farfault::sim::RunSeed;
using farfault::sim::WorldResult;

constexpr std::uint64_t kDefaultSeeds = 1000;

struct Options {
  std::uint64_t first = 1;
  std::uint64_t seeds = kDefaultSeeds;
  bool trace = false;
  std::string expect_caught;  // By this checker.
  bool twice = false;
  // What its tests do to one of the seeds: "abort" and "segv" end the process, "differ" gives it another second run.
  std::string spoil;
  std::uint64_t spoiled_seed = 0;
  std::string program;

  bool Spoils(std::uint64_t seed, std::string_view how) const { return spoil == how && seed == spoiled_seed; }
};

std::string ReplayLine(const Options& options, std::uint64_t seed, std::string_view more = "") {
  return fmt::format("replay: {} --seed {} --trace{}\n", options.program, seed, more);
}

// Whatever the seed ends in, the line that replays it is printed.
WorldResult RunNoted(const Options& options, std::uint64_t seed, bool trace) {
  farfault::sim::SetCrashNote(fmt::format("seed {} ended the program\n{}", seed, ReplayLine(options, seed)));
  if (options.Spoils(seed, "abort")) std::abort();
  if (options.Spoils(seed, "segv")) std::raise(SIGSEGV);
  WorldResult result = RunSeed(seed, trace);
  farfault::sim::SetCrashNote("");
  return result;
}

void PrintViolation(const Options& options, std::uint64_t seed, const WorldResult& result) {
  fmt::print("seed {}: \"{}\" does not hold at {} ns: {}\n", seed, result.violation->checker, result.violation->at,
             result.violation->text);
  if (options.expect_caught.empty()) {
    fmt::print("  {}\n{}", Describe(RandomWorld(seed)), result.trace_tail);
  }
  fmt::print("{}", ReplayLine(options, seed));
}

struct Totals {
  std::uint64_t seeds = 0;
  std::uint64_t failed_sessions = 0;
  std::uint64_t steps = 0;
  std::uint64_t network_faults = 0;
  std::uint64_t pushed = 0;
  std::uint64_t prepaged = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t discarded = 0;
  std::uint64_t hash = 0;

  void Add(const WorldResult& result) {
    ++seeds;
    failed_sessions += result.failed ? 1 : 0;
    steps += result.steps;
    network_faults += result.destination.faults_network;
    pushed += result.destination.pages_pushed;
    prepaged += result.destination.pages_prepaged;
    discarded += result.discarded_pages;
    duplicates += result.destination.duplicates;
    hash = (hash ^ result.trace_hash) * 0x100000001b3u;
  }
  void Print() const {
    fmt::print(
        "{} seeds: every invariant held. {} steps, {} network faults, {} pages pushed, {} pre-paged, {} came twice, {} "
        "discarded, {} sessions were broken on purpose. Trace {:016x}\n",
        seeds, steps, network_faults, pushed, prepaged, duplicates, discarded, failed_sessions, hash);
  }
};

// A mutant breaks one invariant, and the checker of that one must see it. Others may come across what follows from it
// first, in other worlds.
int ExpectCaught(const Options& options) {
  std::map<std::string_view, std::uint64_t> others;
  for (std::uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    const WorldResult result = RunNoted(options, seed, options.trace);
    if (!result.violation) continue;
    if (result.violation->checker == options.expect_caught) {
      PrintViolation(options, seed, result);
      fmt::print("caught after {} seeds\n", seed - options.first + 1);
      return 0;
    }
    ++others[result.violation->checker];
  }
  fmt::print("\"{}\" has not caught the mutant in {} seeds\n", options.expect_caught, options.seeds);
  for (const auto& [checker, seeds] : others) fmt::print("\"{}\" has, in {} of them\n", checker, seeds);
  return 1;
}

// Exit status: 0 when all is as expected.
int Run(const Options& options) {
  Totals totals;
  for (std::uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    const WorldResult result = RunNoted(options, seed, options.trace);
    if (result.violation) {
      PrintViolation(options, seed, result);
      return 1;
    }
    if (options.twice) {
      const std::uint64_t again = options.Spoils(seed, "differ") ? seed + 1 : seed;
      if (RunNoted(options, again, false).trace_hash != result.trace_hash) {
        fmt::print("seed {}: the same seed gave another run\n{}", seed, ReplayLine(options, seed, " --twice"));
        return 1;
      }
    }
    totals.Add(result);
    if (options.trace && result.failed) fmt::print("the session failed: {}\n", result.failure);
  }
  totals.Print();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // A world is made and dropped every few milliseconds: keep its memory instead of asking the kernel for it each time.
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  Options options;
  options.program = argv[0];
  farfault::sim::InstallCrashNote();
  if (const char* seeds = std::getenv("FARFAULT_SIM_SEEDS")) options.seeds = std::strtoull(seeds, nullptr, 10);
  std::uint64_t seed = 0;
  CLI::App app{"Runs simulated migrations, one per seed, and says what did not hold"};
  auto* one = app.add_option("--seed", seed, "Run this seed only");
  app.add_option("--first", options.first, "First seed")->excludes(one)->capture_default_str();
  app.add_option("--seeds", options.seeds, "How many seeds (default: FARFAULT_SIM_SEEDS, or 1000)")->excludes(one);
  app.add_flag("--trace", options.trace, "Print everything that happens, on standard error");
  app.add_flag("--twice", options.twice, "Run every seed twice, and fail when the two runs differ");
  app.add_option("--expect-caught", options.expect_caught, "Succeed when the checker of this name notices something");
  auto* spoil = app.add_option("--spoil", options.spoil)->check(CLI::IsMember({"abort", "segv", "differ"}))->group("");
  app.add_option("--spoiled-seed", options.spoiled_seed)->needs(spoil)->group("");
  CLI11_PARSE(app, argc, argv);
  if (*one) {
    options.first = seed;
    options.seeds = 1;
  }
  return options.expect_caught.empty() ? Run(options) : ExpectCaught(options);
}
