#include "lib/runtime/engine_thread.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "lib/util/deadline.h"
#include "lib/util/unique_fd.h"
#include "test/support/no_threads.h"

namespace farfault {
namespace {

using Round = EngineThread::Round;

std::unique_ptr<EngineThread> MakeThread(std::function<Round()> poll, absl::Duration spin = absl::ZeroDuration()) {
  auto thread = EngineThread::Create({.name = "test", .spin = spin, .poll = std::move(poll), .tick = [] {}}, Sleeper());
  REQUIRE(thread.ok());
  return *std::move(thread);
}

TEST_CASE("calls run on the engine's thread, one at a time, whoever makes them") {
  int unguarded = 0;
  std::atomic<bool> inside = false;
  std::atomic<int> overlaps = 0;
  const auto thread = MakeThread([&] {
    if (inside.exchange(true)) ++overlaps;
    inside = false;
    return Round::kIdle;
  });
  REQUIRE(thread->Start().ok());
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      for (int call = 0; call < 200; ++call) {
        thread->Call([&] {
          if (inside.exchange(true)) ++overlaps;
          ++unguarded;
          inside = false;
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(unguarded == 800);
  CHECK(overlaps == 0);
}

TEST_CASE("a descriptor wakes the thread while it is watched, and only then") {
  const UniqueFd readable(eventfd(1, EFD_CLOEXEC));
  std::atomic<int> rounds = 0;
  const auto thread = MakeThread([&] {
    ++rounds;
    return Round::kIdle;
  });
  REQUIRE(thread->Start().ok());
  const auto rounds_in_a_while = [&] {
    const int before = rounds;
    absl::SleepFor(absl::Milliseconds(300));
    return rounds - before;
  };
  for (int i = 0; i < 2; ++i) {
    thread->Call([&] { thread->Watch(readable.get()); });
    CHECK(rounds_in_a_while() > 20);
    thread->Call([&] { thread->StopWatching(readable.get()); });
    CHECK(rounds_in_a_while() < 20);
  }
}

TEST_CASE("an engine that waits for what wakes nobody looks again and again, and only then") {
  std::atomic<int> rounds = 0;
  std::atomic<bool> waits = true;
  auto created = EngineThread::Create({.name = "test",
                                       .spin = absl::ZeroDuration(),
                                       .poll =
                                           [&] {
                                             ++rounds;
                                             return Round::kIdle;
                                           },
                                       .tick = [] {},
                                       .nap = [&] { return waits.load(); }},
                                      Sleeper());
  REQUIRE(created.ok());
  const std::unique_ptr<EngineThread> thread = *std::move(created);
  REQUIRE(thread->Start().ok());
  // Ticks alone would take a minute.
  REQUIRE(thread->WaitUntil([&] { return rounds > 600; }, Deadline::After(absl::Seconds(30))));
  thread->Call([&] { waits = false; });
  const int before = rounds;
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(rounds - before < 20);
}

TEST_CASE("a sleeping engine is woken by a call and sleeps again") {
  std::atomic<int> rounds = 0;
  const auto thread = MakeThread([&] {
    ++rounds;
    return Round::kIdle;
  });
  REQUIRE(thread->Start().ok());
  for (int i = 0; i < 100; ++i) thread->Call([] {});
  absl::SleepFor(absl::Milliseconds(30));
  // A wake-up left behind would make it poll without end; ticks come every 100 ms.
  const int before = rounds;
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(rounds - before < 20);
}

TEST_CASE("an engine at rest is not woken by ticks, but by calls and descriptors") {
  std::atomic<int> rounds = 0;
  std::atomic<int> ticks = 0;
  const UniqueFd news(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Sleeper sleeper;
  sleeper.AddFd(news.get());
  auto created = EngineThread::Create({.name = "test",
                                       .spin = absl::ZeroDuration(),
                                       .poll =
                                           [&] {
                                             ++rounds;
                                             std::uint64_t count = 0;
                                             const bool any = read(news.get(), &count, sizeof(count)) > 0;
                                             return any ? Round::kProgress : Round::kIdle;
                                           },
                                       .tick = [&] { ++ticks; },
                                       .rest = [] { return true; }},
                                      std::move(sleeper));
  REQUIRE(created.ok());
  const std::unique_ptr<EngineThread> thread = *std::move(created);
  REQUIRE(thread->Start().ok());
  thread->Call([] {});
  absl::SleepFor(absl::Milliseconds(150));
  const int before = rounds;
  const int ticks_before = ticks;
  absl::SleepFor(absl::Milliseconds(500));
  CHECK(rounds == before);
  CHECK(ticks == ticks_before);
  const std::uint64_t one = 1;
  REQUIRE(write(news.get(), &one, sizeof(one)) == sizeof(one));
  CHECK(thread->WaitUntil([&] { return rounds > before; }, Deadline::After(absl::Seconds(30))));
}

TEST_CASE("an engine spins after an urgent round and not after any other progress") {
  const Round first = GENERATE(Round::kUrgent, Round::kProgress);
  CAPTURE(static_cast<int>(first));
  std::atomic<int> rounds = 0;
  std::atomic<bool> happened = false;
  const auto thread = MakeThread(
      [&] {
        ++rounds;
        return happened.exchange(false) ? first : Round::kIdle;
      },
      absl::Milliseconds(50));
  REQUIRE(thread->Start().ok());
  absl::SleepFor(absl::Milliseconds(150));  // Past the spin at the start.
  const int before = rounds;
  happened = true;
  thread->Call([] {});
  absl::SleepFor(absl::Milliseconds(150));
  // A spin of 50 ms is tens of thousands of rounds; sleeping, there is the call and a few ticks.
  CHECK((rounds - before > 500) == (first == Round::kUrgent));
}

TEST_CASE("WaitUntil sees conditions come true, and deadlines pass") {
  std::atomic<int> steps = 0;
  const auto thread = MakeThread([&] { return ++steps < 1000 ? Round::kProgress : Round::kIdle; });
  REQUIRE(thread->Start().ok());
  CHECK(thread->WaitUntil([&] { return steps >= 500; }, Deadline::Never()));
  CHECK_FALSE(thread->WaitUntil([] { return false; }, Deadline::After(absl::Milliseconds(20))));
  CHECK(thread->WaitUntil([] { return true; }, Deadline::Now()));
}

TEST_CASE("without a thread to be had Start says so, and calls run on the caller's thread") {
  const auto thread = MakeThread([] { return Round::kIdle; });
  {
    const NoThreads none;
    CHECK(absl::IsResourceExhausted(thread->Start()));
  }
  std::thread::id ran_on;
  thread->Call([&] { ran_on = std::this_thread::get_id(); });
  CHECK(ran_on == std::this_thread::get_id());
  CHECK(thread->Start().ok());
}

TEST_CASE("the engine's thread leaves the program's signals to its own threads") {
  const auto thread = MakeThread([] { return Round::kIdle; });
  REQUIRE(thread->Start().ok());
  sigset_t mask;
  thread->Call([&] { pthread_sigmask(SIG_BLOCK, nullptr, &mask); });
  CHECK(sigismember(&mask, SIGINT) == 1);
  CHECK(sigismember(&mask, SIGALRM) == 1);
}

TEST_CASE("a file descriptor that is no longer watched wakes nobody") {
  UniqueFd always(eventfd(1, EFD_CLOEXEC));
  Sleeper sleeper;
  sleeper.AddFd(always.get());
  std::atomic<int> rounds = 0;
  auto made = EngineThread::Create({.name = "test",
                                    .spin = absl::ZeroDuration(),
                                    .poll =
                                        [&] {
                                          ++rounds;
                                          return Round::kIdle;
                                        },
                                    .tick = [] {}},
                                   std::move(sleeper));
  REQUIRE(made.ok());
  const std::unique_ptr<EngineThread> thread = *std::move(made);
  REQUIRE(thread->Start().ok());
  thread->Call([&] { thread->StopWatching(always.get()); });
  const int before = rounds;
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(rounds - before < 20);
}

TEST_CASE("after Stop calls run on the caller's thread") {
  const auto thread = MakeThread([] { return Round::kIdle; });
  std::thread::id ran_on;
  const auto remember = [&] { ran_on = std::this_thread::get_id(); };
  thread->Call(remember);
  CHECK(ran_on == std::this_thread::get_id());
  REQUIRE(thread->Start().ok());
  thread->Call(remember);
  CHECK(ran_on != std::this_thread::get_id());
  thread->Stop();
  thread->Call(remember);
  CHECK(ran_on == std::this_thread::get_id());
  thread->Stop();
}

}  // namespace
}  // namespace farfault
