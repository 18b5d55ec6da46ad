#ifndef FARFAULT_LIB_UTIL_MONOTONIC_CLOCK_H_
#define FARFAULT_LIB_UTIL_MONOTONIC_CLOCK_H_

#include <chrono>

#include "lib/util/clock.h"

namespace farfault {

/// The machine's CLOCK_MONOTONIC, which the vDSO answers without entering the kernel. Thread-safe.
class MonotonicClock final : public Clock {
 public:
  Nanos Now() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_MONOTONIC_CLOCK_H_
