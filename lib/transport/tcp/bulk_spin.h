#ifndef FARFAULT_LIB_TRANSPORT_TCP_BULK_SPIN_H_
#define FARFAULT_LIB_TRANSPORT_TCP_BULK_SPIN_H_

#include <algorithm>
#include <cstdint>
#include <utility>

#include "lib/transport/tcp/call_size.h"
#include "lib/util/clock.h"

namespace farfault {

/// Waits for the next piece of a bulk transfer without sleeping, offering the processor to others all the while.
///
/// A receiver that is faster than its sender would go to sleep at every piece, a thousand times a GiB. Each time it has
/// to be woken, and the kernel wakes the reader of a socket as if the sender were about to sleep: on one host it may
/// put both on one processor, where they stay until the load is balanced, with the other idle (lib/README.md).
///
/// What has been received pays for the time: a quarter of a nanosecond a byte, about what receiving it takes anyway. So
/// a slow network, or one that brings little at a time, costs next to nothing, and silence nothing at all. One thread.
class BulkSpin {
 public:
  static constexpr std::uint64_t kBytesPerNanosecond = 4;
  /// More is not saved up. At 1 GiB/s a piece of 64 KiB comes in 60 µs.
  static constexpr Nanos kMost = 100'000;
  /// Less is not worth reading the clock for.
  static constexpr Nanos kLeast = 10'000;
  /// A processor that comes back only after so long had somebody else's work to do, a guest's for example. Who offers
  /// it loses its place (EEVDF), which a sleeper does not, so then the next waits are left out.
  static constexpr Nanos kTimeSlice = 500'000;
  static constexpr std::uint32_t kLeftOut = 64;

  explicit BulkSpin(const Clock& clock) : clock_(clock) {}

  void Earn(std::uint64_t bytes) {
    earned_ = std::min(earned_ + static_cast<Nanos>(bytes / kBytesPerNanosecond), kMost);
  }

  /// Calls `look` until it returns true, then returns true; or false when it is time to sleep.
  template <typename Look>
  bool Wait(Look look) {
    if (left_out_ > 0) {
      --left_out_;
      return false;
    }
    if (earned_ < kLeast) return false;
    const Nanos begun = clock_.Now();
    bool found = look();
    Nanos spent = clock_.Now() - begun;
    while (!found && spent < earned_) {
      GiveWay();
      found = look();
      const Nanos before = std::exchange(spent, clock_.Now() - begun);
      if (spent - before > kTimeSlice) left_out_ = kLeftOut;
    }
    earned_ = std::max(earned_ - spent, -kMost);
    return found;
  }

 private:
  const Clock& clock_;
  Nanos earned_ = 0;  // Less than nothing after a look that took longer than was left.
  std::uint32_t left_out_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_BULK_SPIN_H_
