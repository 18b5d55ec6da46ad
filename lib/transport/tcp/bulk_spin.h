#ifndef FARFAULT_LIB_TRANSPORT_TCP_BULK_SPIN_H_
#define FARFAULT_LIB_TRANSPORT_TCP_BULK_SPIN_H_

#include <algorithm>
#include <cstdint>

#include "lib/transport/tcp/call_size.h"
#include "lib/util/clock.h"

namespace farfault {

/// Waits for the next piece of a bulk transfer without sleeping, offering the processor to others all the while.
///
/// A receiver that is faster than its sender would go to sleep at every piece, a thousand times a GiB. Each time it has
/// to be woken, and the kernel wakes the reader of a socket as if the sender were about to sleep: on one host it may
/// put both on one processor, where they stay until the load is balanced, with the other idle (lib/README.md). Where
/// waiting is in vain, because the network is slow or the push has ended, it is left out more and more often. One
/// thread.
class BulkSpin {
 public:
  /// At 1 GiB/s a piece of 64 KiB comes in 60 µs.
  static constexpr Nanos kLongest = 100'000;
  /// After many that were in vain, one wait in so many is tried.
  static constexpr std::uint32_t kMostSkipped = 63;

  explicit BulkSpin(const Clock& clock) : clock_(clock) {}

  /// Calls `look` until it returns true, then returns true; or false when it is time to sleep.
  template <typename Look>
  bool Wait(Look look) {
    if (skip_ > 0) {
      --skip_;
      return false;
    }
    const Nanos end = clock_.Now() + kLongest;
    do {
      if (look()) {
        skip_after_ = 0;
        return true;
      }
      GiveWay();
    } while (clock_.Now() < end);
    skip_after_ = std::min(2 * skip_after_ + 1, kMostSkipped);
    skip_ = skip_after_;
    return false;
  }

 private:
  const Clock& clock_;
  std::uint32_t skip_after_ = 0;
  std::uint32_t skip_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_BULK_SPIN_H_
