#include "lib/transport/tcp/bulk_spin.h"

#include <catch2/catch_test_macros.hpp>

namespace farfault {
namespace {

constexpr std::uint64_t kPiece = 64u << 10;
constexpr Nanos kEarned = kPiece / BulkSpin::kBytesPerNanosecond;

/// A microsecond passes whenever somebody looks at it.
class BusyClock final : public Clock {
 public:
  static constexpr Nanos kStep = 1000;
  Nanos Now() const override { return now_ += kStep; }
  void Pass(Nanos time) { now_ += time; }

 private:
  mutable Nanos now_ = 0;
};

/// Waits for what never comes. How often was looked for it, each time a microsecond.
int LooksInVain(BulkSpin& spin) {
  int looks = 0;
  CHECK_FALSE(spin.Wait([&] {
    ++looks;
    return false;
  }));
  return looks;
}

TEST_CASE("nothing received, no time to wait") {
  const BusyClock clock;
  BulkSpin spin(clock);
  CHECK(LooksInVain(spin) == 0);
}

TEST_CASE("a wait ends as soon as there is something") {
  const BusyClock clock;
  BulkSpin spin(clock);
  spin.Earn(kPiece);
  int looks = 0;
  CHECK(spin.Wait([&] { return ++looks == 3; }));
  CHECK(looks == 3);
}

TEST_CASE("a wait in vain takes as long as what was received pays for, once") {
  const BusyClock clock;
  BulkSpin spin(clock);
  spin.Earn(kPiece);
  CHECK(LooksInVain(spin) == (kEarned + BusyClock::kStep - 1) / BusyClock::kStep);
  CHECK(LooksInVain(spin) == 0);
}

TEST_CASE("no more than the most is saved up") {
  const BusyClock clock;
  BulkSpin spin(clock);
  for (int i = 0; i < 1000; ++i) spin.Earn(kPiece);
  CHECK(LooksInVain(spin) == BulkSpin::kMost / BusyClock::kStep);
  CHECK(LooksInVain(spin) == 0);
}

TEST_CASE("a transfer that comes a packet at a time is waited for in few of its gaps") {
  const BusyClock clock;
  BulkSpin spin(clock);
  int looks = 0;
  std::uint64_t received = 0;
  for (int packet = 0; packet < 10'000; ++packet) {
    spin.Earn(1500);
    received += 1500;
    looks += LooksInVain(spin);
  }
  CHECK(looks > 0);
  CHECK(looks * BusyClock::kStep <= static_cast<Nanos>(received / BulkSpin::kBytesPerNanosecond) + BulkSpin::kMost);
}

TEST_CASE("where others need the processor most waits are left out") {
  BusyClock clock;
  BulkSpin spin(clock);
  spin.Earn(kPiece);
  int looks = 0;
  const bool found = spin.Wait([&] {
    ++looks;
    if (looks == 2) clock.Pass(BulkSpin::kTimeSlice);
    return looks == 2;
  });
  CHECK(found);
  for (std::uint32_t i = 0; i < BulkSpin::kLeftOut; ++i) {
    spin.Earn(kPiece);
    CHECK(LooksInVain(spin) == 0);
  }
  CHECK(LooksInVain(spin) > 0);
}

TEST_CASE("waits that are worth it are paid for as well") {
  const BusyClock clock;
  BulkSpin spin(clock);
  spin.Earn(kPiece);
  int waits = 0;
  while (spin.Wait([] { return true; })) ++waits;
  CHECK(waits == (kEarned - BulkSpin::kLeast) / BusyClock::kStep + 1);
}

}  // namespace
}  // namespace farfault
