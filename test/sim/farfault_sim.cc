// Runs simulated migrations, one per seed, and says what did not hold.

#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "lib/sim/world.h"

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
  bool expect_caught = false;
  bool twice = false;
  std::string program;
};

void PrintViolation(const Options& options, std::uint64_t seed, const WorldResult& result) {
  fmt::print("seed {}: \"{}\" does not hold at {} ns: {}\n", seed, result.violation->checker, result.violation->at,
             result.violation->text);
  if (!options.expect_caught) {
    fmt::print("  {}\n{}", Describe(RandomWorld(seed)), result.trace_tail);
  }
  fmt::print("replay: {} --seed {} --trace\n", options.program, seed);
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

// Exit status: 0 when all is as expected.
int Run(const Options& options) {
  Totals totals;
  for (std::uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    const WorldResult result = RunSeed(seed, options.trace);
    if (result.violation) {
      PrintViolation(options, seed, result);
      if (options.expect_caught) fmt::print("caught after {} seeds\n", seed - options.first + 1);
      return options.expect_caught ? 0 : 1;
    }
    if (options.twice && RunSeed(seed).trace_hash != result.trace_hash) {
      fmt::print("seed {}: the same seed gave another run\n", seed);
      return 1;
    }
    totals.Add(result);
    if (options.trace && result.failed) fmt::print("the session failed: {}\n", result.failure);
  }
  totals.Print();
  if (options.expect_caught) fmt::print("no checker caught the mutant\n");
  return options.expect_caught ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  // A world is made and dropped every few milliseconds: keep its memory instead of asking the kernel for it each time.
  mallopt(M_MMAP_THRESHOLD, 64 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  Options options;
  options.program = argv[0];
  if (const char* seeds = std::getenv("FARFAULT_SIM_SEEDS")) options.seeds = std::strtoull(seeds, nullptr, 10);
  std::uint64_t seed = 0;
  CLI::App app{"Runs simulated migrations, one per seed, and says what did not hold"};
  auto* one = app.add_option("--seed", seed, "Run this seed only");
  app.add_option("--first", options.first, "First seed")->excludes(one)->capture_default_str();
  app.add_option("--seeds", options.seeds, "How many seeds (default: FARFAULT_SIM_SEEDS, or 1000)")->excludes(one);
  app.add_flag("--trace", options.trace, "Print everything that happens, on standard error");
  app.add_flag("--twice", options.twice, "Run every seed twice, and fail when the two runs differ");
  app.add_flag("--expect-caught", options.expect_caught, "Succeed when a checker notices something");
  CLI11_PARSE(app, argc, argv);
  if (*one) {
    options.first = seed;
    options.seeds = 1;
  }
  return Run(options);
}
