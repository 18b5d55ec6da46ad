#ifndef FARFAULT_LIB_UTIL_DEADLINE_H_
#define FARFAULT_LIB_UTIL_DEADLINE_H_

#include <algorithm>
#include <chrono>
#include <compare>

#include "absl/time/time.h"

namespace farfault {

/// When a wait ends at the latest, on CLOCK_MONOTONIC. Not on the wall clock: that one is set, by NTP or when a virtual
/// machine is resumed, and a wait until some time of day then ends early, or hours late. For this process only: another
/// host's clock has nothing to do with ours.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  /// `left` from now. What is too far away to be counted is Never; what is negative has passed.
  static Deadline After(absl::Duration left) {
    const Clock::time_point now = Clock::now();
    const auto wait = absl::ToChronoNanoseconds(std::max(left, absl::ZeroDuration()));  // Saturates.
    return wait < Clock::time_point::max() - now ? Deadline(now + wait) : Never();
  }
  static Deadline At(Clock::time_point when) { return Deadline(when); }
  /// Has passed as soon as somebody looks: for one look, without a wait.
  static Deadline Now() { return Deadline(Clock::now()); }
  static Deadline Never() { return Deadline(Clock::time_point::max()); }

  bool never() const { return when_ == Clock::time_point::max(); }
  bool Passed() const { return !never() && Clock::now() >= when_; }
  /// Zero once it has passed, InfiniteDuration when it never does.
  absl::Duration Left() const {
    if (never()) return absl::InfiniteDuration();
    const Clock::time_point now = Clock::now();
    return when_ > now ? absl::FromChrono(when_ - now) : absl::ZeroDuration();
  }
  /// For what waits by std::chrono; not for Never, which need not be representable on another clock.
  Clock::time_point when() const { return when_; }

  /// The earlier one is less.
  friend auto operator<=>(const Deadline&, const Deadline&) = default;

 private:
  explicit Deadline(Clock::time_point when) : when_(when) {}

  Clock::time_point when_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_DEADLINE_H_
