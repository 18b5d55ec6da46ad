#ifndef FARFAULT_TEST_SUPPORT_MANUAL_CLOCK_H_
#define FARFAULT_TEST_SUPPORT_MANUAL_CLOCK_H_

#include "lib/util/clock.h"

namespace farfault {

/// Stands still until it is told otherwise.
class ManualClock final : public Clock {
 public:
  Nanos Now() const override { return now_; }
  void Advance(Nanos by) { now_ += by; }

 private:
  Nanos now_ = 1;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_MANUAL_CLOCK_H_
