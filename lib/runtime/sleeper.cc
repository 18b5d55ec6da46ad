#include "lib/runtime/sleeper.h"

#include <algorithm>
#include <utility>

#include "lib/util/deadline.h"

namespace farfault {

void Sleeper::Sleep(absl::Duration most) {
  Deadline next_event = Deadline::Never();
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    polled_[fds_ + i] = {-1, 0, 0};
    if (channels_[i]->broken()) {
      // It may have broken after the caller's last look, and then nothing else tells of it. Once it has been seen, its
      // handle would keep us awake for ever.
      if (!std::exchange(seen_broken_[i], true)) return;
      continue;
    }
    if (!channels_[i]->PrepareToSleep()) return;
    const WaitHandle handle = channels_[i]->wait_handle();
    polled_[fds_ + i] = {handle.fd, handle.events, 0};
    next_event = std::min(next_event, channels_[i]->next_event());
  }
  most = std::min(most, next_event.Left());
  const timespec timeout = absl::ToTimespec(std::max(most, absl::ZeroDuration()));
  // Interrupted or timed out makes no difference: the caller looks at everything again anyway.
  static_cast<void>(
      ppoll(polled_.data(), polled_.size(), most == absl::InfiniteDuration() ? nullptr : &timeout, nullptr));
}

}  // namespace farfault
