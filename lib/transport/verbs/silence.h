#ifndef FARFAULT_LIB_TRANSPORT_VERBS_SILENCE_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_SILENCE_H_

#include <chrono>
#include <optional>
#include <utility>

namespace farfault {

/// Decides when a peer has been silent for so long that it is asked whether it is still there: whoever only waits would
/// never learn that the peer's host has died. Owner only.
class Silence {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kPatience{5};

  explicit Silence(Clock::time_point now) : last_sign_of_life_(now) {}

  /// The device has brought something.
  void Hear() { heard_ = true; }
  /// True: ask now, and call Answered when the device has spoken of the question. Requests under way are no reason not
  /// to: the device says nothing of those that are not signalled, whether they are done or not.
  bool MustAsk(Clock::time_point now) {
    if (std::exchange(heard_, false)) last_sign_of_life_ = now;
    if (asked_ || now - last_sign_of_life_ < kPatience) return false;
    last_sign_of_life_ = now;
    return asked_ = true;
  }
  void Answered() { asked_ = false; }
  /// When MustAsk may come to say so, should nothing be heard until then; none while an answer is due.
  std::optional<Clock::time_point> when() const {
    return asked_ ? std::nullopt : std::optional(last_sign_of_life_ + kPatience);
  }
  bool asked() const { return asked_; }

 private:
  Clock::time_point last_sign_of_life_;
  bool heard_ = false;
  bool asked_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_SILENCE_H_
