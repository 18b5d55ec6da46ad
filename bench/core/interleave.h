#ifndef FARFAULT_BENCH_CORE_INTERLEAVE_H_
#define FARFAULT_BENCH_CORE_INTERLEAVE_H_

#include <functional>
#include <span>
#include <string>

#include "absl/status/status.h"

namespace farfault::bench {

/// One of the things that are compared: takes its part of a round and keeps what it measured.
struct Subject {
  std::string name;
  std::function<absl::Status(int round)> run;
};

/// Runs every subject once per round. Each round begins with another subject, so that none always comes after the same
/// neighbour and a machine that changes its mood slowly hits all alike. `before_round` is for progress. Stops at the
/// first error, which then names the subject and the round.
absl::Status RunInterleaved(std::span<const Subject> subjects, int rounds,
                            const std::function<void(int round)>& before_round);

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_CORE_INTERLEAVE_H_
