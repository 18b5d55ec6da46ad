#ifndef FARFAULT_LIB_UTIL_STOPWATCH_H_
#define FARFAULT_LIB_UTIL_STOPWATCH_H_

#include <chrono>

#include "absl/time/time.h"

namespace farfault {

/// Measures what has passed since it was made, on CLOCK_MONOTONIC: the wall clock may be set meanwhile (see Deadline).
class Stopwatch {
 public:
  absl::Duration Elapsed() const { return absl::FromChrono(std::chrono::steady_clock::now() - begun_); }

 private:
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_STOPWATCH_H_
