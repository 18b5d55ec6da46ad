#include "bench/core/interleave.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

namespace farfault::bench {
namespace {

TEST_CASE("every subject runs once per round, and each round begins with another one") {
  std::string order;
  const auto append = [&order](const char* what) {
    return [&order, what](int) {
      order += what;
      return absl::OkStatus();
    };
  };
  const std::vector<Subject> subjects = {{"a", append("a")}, {"b", append("b")}, {"c", append("c")}};
  CHECK(RunInterleaved(subjects, 4, [&order](int) { order += " "; }).ok());
  CHECK(order == " abc bca cab abc");
}

TEST_CASE("an error ends the run and names its subject and round") {
  int runs = 0;
  const std::vector<Subject> subjects = {
      {"steady", [&runs](int) { return ++runs, absl::OkStatus(); }},
      {"brittle", [](int round) { return round == 1 ? absl::AbortedError("gone") : absl::OkStatus(); }}};
  const absl::Status status = RunInterleaved(subjects, 5, nullptr);
  CHECK(status.code() == absl::StatusCode::kAborted);
  CHECK(std::string(status.message()) == "brittle, round 2: gone");
  CHECK(runs == 1);
}

}  // namespace
}  // namespace farfault::bench
