#include "lib/util/start_thread.h"

#include <fmt/format.h>
#include <pthread.h>

#include <csignal>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"

namespace farfault {
namespace {

class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int raised : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT}) sigdelset(&blocked, raised);
    pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

absl::StatusOr<std::thread> StartThread(std::string_view name, std::function<void()> run) {
  // A thread inherits the mask of the one that starts it.
  const BlockedSignals blocked;
  try {
    std::thread thread(std::move(run));
    pthread_setname_np(thread.native_handle(), std::string(name.substr(0, 15)).c_str());
    return thread;
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(fmt::format(
        "the thread '{}' cannot be started: {}; raise the limit of threads (ulimit -u, pids.max) or free memory", name,
        error.what()));
  }
}

}  // namespace farfault
