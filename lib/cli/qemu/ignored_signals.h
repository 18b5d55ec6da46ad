#ifndef FARFAULT_LIB_CLI_QEMU_IGNORED_SIGNALS_H_
#define FARFAULT_LIB_CLI_QEMU_IGNORED_SIGNALS_H_

#include <array>
#include <csignal>
#include <cstddef>

namespace farfault {

/// While this object lives, what a user or a closing terminal or pipe sends does not end the process: between the stop
/// of a guest and the arrival of its last page that would leave it nowhere. One at a time.
class IgnoredSignals {
 public:
  IgnoredSignals() {
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &ignore, &before_[i]);
  }
  IgnoredSignals(const IgnoredSignals&) = delete;
  IgnoredSignals& operator=(const IgnoredSignals&) = delete;
  ~IgnoredSignals() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }

 private:
  static constexpr std::array<int, 4> kSignals = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  std::array<struct sigaction, 4> before_{};
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_QEMU_IGNORED_SIGNALS_H_
