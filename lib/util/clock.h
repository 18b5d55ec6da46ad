#ifndef FARFAULT_LIB_UTIL_CLOCK_H_
#define FARFAULT_LIB_UTIL_CLOCK_H_

#include <cstdint>

namespace farfault {

/// Nanoseconds on a session's clock; only differences mean anything.
using Nanos = std::int64_t;

/// Time, as the engines see it. Cheap enough to be read at every fault.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Nanos Now() const = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_CLOCK_H_
