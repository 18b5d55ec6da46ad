#include "lib/runtime/engine_thread.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <thread>
#include <vector>

#include "absl/time/clock.h"

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
  thread->Start();
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
  thread->Start();
  // Ticks alone would take a minute.
  REQUIRE(thread->WaitUntil([&] { return rounds > 600; }, absl::Now() + absl::Seconds(30)));
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
  thread->Start();
  for (int i = 0; i < 100; ++i) thread->Call([] {});
  absl::SleepFor(absl::Milliseconds(30));
  // A wake-up left behind would make it poll without end; ticks come every 100 ms.
  const int before = rounds;
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(rounds - before < 20);
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
  thread->Start();
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
  thread->Start();
  CHECK(thread->WaitUntil([&] { return steps >= 500; }, absl::InfiniteFuture()));
  CHECK_FALSE(thread->WaitUntil([] { return false; }, absl::Now() + absl::Milliseconds(20)));
  CHECK(thread->WaitUntil([] { return true; }, absl::InfinitePast()));
}

TEST_CASE("after Stop calls run on the caller's thread") {
  const auto thread = MakeThread([] { return Round::kIdle; });
  std::thread::id ran_on;
  const auto remember = [&] { ran_on = std::this_thread::get_id(); };
  thread->Call(remember);
  CHECK(ran_on == std::this_thread::get_id());
  thread->Start();
  thread->Call(remember);
  CHECK(ran_on != std::this_thread::get_id());
  thread->Stop();
  thread->Call(remember);
  CHECK(ran_on == std::this_thread::get_id());
  thread->Stop();
}

}  // namespace
}  // namespace farfault
