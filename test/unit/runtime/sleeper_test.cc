#include "lib/runtime/sleeper.h"

#include <catch2/catch_test_macros.hpp>

#include "absl/time/clock.h"
#include "test/support/scripted_channel.h"

namespace farfault {
namespace {

absl::Duration TimeAsleep(Sleeper& sleeper, absl::Duration most) {
  const absl::Time begun = absl::Now();
  sleeper.Sleep(most);
  return absl::Now() - begun;
}

// Between the engine's last look and its sleep a channel may break that has nothing else to wake it with.
TEST_CASE("a channel's break ends one sleep, and no more after that") {
  ScriptedChannel broken;
  ScriptedChannel whole;
  Sleeper sleeper;
  sleeper.AddChannel(broken);
  sleeper.AddChannel(whole);
  CHECK(TimeAsleep(sleeper, absl::Milliseconds(5)) >= absl::Milliseconds(5));
  broken.Break();
  CHECK(TimeAsleep(sleeper, absl::Minutes(1)) < absl::Seconds(30));
  CHECK(TimeAsleep(sleeper, absl::Milliseconds(5)) >= absl::Milliseconds(5));
  whole.Break();
  CHECK(TimeAsleep(sleeper, absl::Minutes(1)) < absl::Seconds(30));
  CHECK(TimeAsleep(sleeper, absl::Milliseconds(5)) >= absl::Milliseconds(5));
}

}  // namespace
}  // namespace farfault
