#ifndef FARFAULT_LIB_RUNTIME_SLEEPER_H_
#define FARFAULT_LIB_RUNTIME_SLEEPER_H_

#include <poll.h>

#include <span>
#include <vector>

#include "absl/time/time.h"
#include "lib/transport/transport.h"

namespace farfault {

/// Lets one thread sleep until any of several channels and file descriptors may have something. One thread; Sleep does
/// not allocate.
class Sleeper {
 public:
  Sleeper() = default;
  /// The channels outlive this object.
  void AddChannel(Channel& channel) {
    channels_.push_back(&channel);
    seen_broken_.push_back(false);
    polled_.emplace_back();
  }
  /// Wakes when `fd` is readable.
  void AddFd(int fd) {
    for (std::size_t i = 0; i < fds_; ++i) {
      if (polled_[i].fd >= 0) continue;
      polled_[i].fd = fd;
      return;
    }
    polled_.insert(polled_.begin() + static_cast<std::ptrdiff_t>(fds_++), pollfd{fd, POLLIN, 0});
  }

  void RemoveFd(int fd) {
    for (std::size_t i = 0; i < fds_; ++i) {
      if (polled_[i].fd == fd) polled_[i].fd = -1;
    }
  }

  /// Returns at once when a channel has something already or is seen broken for the first time, otherwise when
  /// something comes, or after `most` (to the microsecond, rounded up).
  void Sleep(absl::Duration most);

 private:
  std::vector<Channel*> channels_;
  std::vector<char> seen_broken_;  // As channels_.
  std::size_t fds_ = 0;
  std::vector<pollfd> polled_;  // File descriptors, then channels.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_SLEEPER_H_
