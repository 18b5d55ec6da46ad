#include "lib/util/deadline.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdint>
#include <ctime>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/util/stopwatch.h"

namespace farfault {
namespace {

absl::Duration Monotonic() {
  timespec now{};
  REQUIRE(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
  return absl::DurationFromTimespec(now);
}

absl::Duration OnClock(Deadline deadline) { return absl::FromChrono(deadline.when().time_since_epoch()); }

TEST_CASE("a deadline is on the clock that nobody sets", "[util][deadline]") {
  STATIC_CHECK(Deadline::Clock::is_steady);
  const absl::Duration before = Monotonic();
  const Deadline deadline = Deadline::After(absl::Seconds(7));
  const absl::Duration after = Monotonic();
  CHECK(OnClock(deadline) >= before + absl::Seconds(7));
  CHECK(OnClock(deadline) <= after + absl::Seconds(7));
}

TEST_CASE("a deadline passes when its time has come, and not before", "[util][deadline]") {
  const absl::Duration begun = Monotonic();
  const Deadline deadline = Deadline::After(absl::Milliseconds(20));
  while (!deadline.Passed()) absl::SleepFor(absl::Milliseconds(1));
  CHECK(Monotonic() - begun >= absl::Milliseconds(20));
  CHECK(deadline.Left() == absl::ZeroDuration());
  CHECK(deadline.Passed());
}

TEST_CASE("what is left of a deadline only gets less", "[util][deadline]") {
  const Deadline deadline = Deadline::After(absl::Minutes(1));
  const absl::Duration left = deadline.Left();
  CHECK(left <= absl::Minutes(1));
  CHECK(left > absl::Seconds(30));
  CHECK(deadline.Left() <= left);
  CHECK(!deadline.Passed());
}

TEST_CASE("now, and what is before it, has passed at the first look", "[util][deadline]") {
  for (const Deadline deadline :
       {Deadline::Now(), Deadline::After(absl::ZeroDuration()), Deadline::After(absl::Seconds(-1)),
        Deadline::After(-absl::InfiniteDuration()), Deadline::At(Deadline::Clock::time_point::min())}) {
    CHECK(deadline.Passed());
    CHECK(!deadline.never());
    CHECK(deadline.Left() == absl::ZeroDuration());
  }
}

TEST_CASE("what is too far away never passes", "[util][deadline]") {
  constexpr absl::Duration kYear = absl::Hours(24 * 365);
  for (const Deadline deadline : {Deadline::Never(), Deadline::After(absl::InfiniteDuration()),
                                  Deadline::After(300 * kYear), Deadline::After(absl::Nanoseconds(INT64_MAX))}) {
    CHECK(deadline.never());
    CHECK(!deadline.Passed());
    CHECK(deadline.Left() == absl::InfiniteDuration());
    CHECK(deadline == Deadline::Never());
  }
  const Deadline far = Deadline::After(100 * kYear);
  CHECK(!far.never());
  CHECK(!far.Passed());
  CHECK(far.Left() > 99 * kYear);
}

TEST_CASE("the earlier deadline is the lesser one", "[util][deadline]") {
  const Deadline soon = Deadline::After(absl::Seconds(1));
  const Deadline late = Deadline::After(absl::Seconds(2));
  CHECK(std::min(late, soon) == soon);
  CHECK(soon < late);
  CHECK(late < Deadline::Never());
  CHECK(Deadline::At(soon.when()) == soon);
}

TEST_CASE("a stopwatch tells what has passed", "[util][deadline]") {
  const absl::Duration before = Monotonic();
  const Stopwatch watch;
  const absl::Duration begun = Monotonic();
  absl::SleepFor(absl::Milliseconds(5));
  const absl::Duration least = Monotonic() - begun;
  const absl::Duration elapsed = watch.Elapsed();
  CHECK(elapsed >= least);
  CHECK(elapsed <= Monotonic() - before);
}

}  // namespace
}  // namespace farfault
