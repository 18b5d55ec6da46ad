#include "lib/transport/tcp/bulk_spin.h"

#include <catch2/catch_test_macros.hpp>

namespace farfault {
namespace {

class SteppedClock final : public Clock {
 public:
  Nanos Now() const override { return now_ += kStep; }
  static constexpr Nanos kStep = 10'000;

 private:
  mutable Nanos now_ = 0;
};

/// Waits for what never comes. How often was looked for it.
int LooksInVain(BulkSpin& spin) {
  int looks = 0;
  CHECK_FALSE(spin.Wait([&] {
    ++looks;
    return false;
  }));
  return looks;
}

TEST_CASE("a wait ends as soon as there is something") {
  const SteppedClock clock;
  BulkSpin spin(clock);
  int looks = 0;
  CHECK(spin.Wait([&] { return ++looks == 3; }));
  CHECK(looks == 3);
}

TEST_CASE("a wait in vain is bounded in time") {
  const SteppedClock clock;
  BulkSpin spin(clock);
  CHECK(LooksInVain(spin) == BulkSpin::kLongest / SteppedClock::kStep);
}

TEST_CASE("the more waits are in vain, the more are left out, up to a bound") {
  const SteppedClock clock;
  BulkSpin spin(clock);
  for (const std::uint32_t skipped : {1u, 3u, 7u, 15u, 31u, 63u, 63u, 63u}) {
    CHECK(LooksInVain(spin) > 0);
    for (std::uint32_t i = 0; i < skipped; ++i) CHECK(LooksInVain(spin) == 0);
  }
  CHECK(LooksInVain(spin) > 0);
}

TEST_CASE("one wait that was worth it, and no more are left out") {
  const SteppedClock clock;
  BulkSpin spin(clock);
  for (int i = 0; i < 3; ++i) LooksInVain(spin);
  while (!spin.Wait([] { return true; })) {
  }
  CHECK(LooksInVain(spin) > 0);
  CHECK(LooksInVain(spin) == 0);
  CHECK(LooksInVain(spin) > 0);
}

}  // namespace
}  // namespace farfault
