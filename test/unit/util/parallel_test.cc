#include "lib/util/parallel.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace farfault {
namespace {

TEST_CASE("every task runs once, whatever the number of threads", "[util][parallel]") {
  for (const std::size_t threads : {1u, 3u, 16u}) {
    std::vector<std::atomic<int>> runs(100);
    std::size_t ticks = 0;
    const std::thread::id caller = std::this_thread::get_id();
    const absl::Status status = RunInParallel(
        runs.size(), threads,
        [&](std::size_t i) {
          runs[i].fetch_add(1);
          return absl::OkStatus();
        },
        [&] { ticks += std::this_thread::get_id() == caller ? 1u : 0u; });
    CHECK(status.ok());
    CHECK(ticks >= 1);
    for (const std::atomic<int>& count : runs) CHECK(count.load() == 1);
  }
  CHECK(RunInParallel(0, 4, [](std::size_t) { return absl::InternalError("no task"); }).ok());
}

TEST_CASE("workers leave the program's signals to its own threads", "[util][parallel]") {
  std::atomic<int> blocked = 0;
  const absl::Status status = RunInParallel(4, 2, [&](std::size_t) {
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    if (sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGSEGV) == 0) ++blocked;
    return absl::OkStatus();
  });
  CHECK(status.ok());
  CHECK(blocked == 4);
  sigset_t own;
  pthread_sigmask(SIG_BLOCK, nullptr, &own);
  CHECK(sigismember(&own, SIGUSR1) == 0);
}

TEST_CASE("the first error ends the work", "[util][parallel]") {
  std::atomic<int> runs = 0;
  const absl::Status status = RunInParallel(1'000'000, 2, [&](std::size_t i) {
    runs.fetch_add(1);
    return i == 10 ? absl::ResourceExhaustedError("ten") : absl::OkStatus();
  });
  CHECK(status == absl::ResourceExhaustedError("ten"));
  CHECK(runs.load() < 1'000'000);
}

TEST_CASE("the number of threads is bounded", "[util][parallel]") {
  CHECK(ThreadCount(0) >= 1);
  CHECK(ThreadCount(3) == 3);
  CHECK(ThreadCount(100'000) == 64);
}

}  // namespace
}  // namespace farfault
