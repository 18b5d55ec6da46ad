#ifndef FARFAULT_LIB_RUNTIME_ENGINE_THREAD_H_
#define FARFAULT_LIB_RUNTIME_ENGINE_THREAD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/runtime/sleeper.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"
#include "lib/util/notification.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// The one thread that polls an engine: it spins for a while after the last urgent round, then sleeps. Other threads
/// reach the engine by having functions run on this thread. Thread-safe, but Start and the destructor belong to the
/// owner.
class EngineThread {
 public:
  enum class Round : std::uint8_t {
    kIdle,      ///< Nothing happened.
    kProgress,  ///< There may be more at this moment, but the next news are not worth spinning for.
    kUrgent,    ///< Spin for what comes next.
  };

  struct Options {
    std::string name;  ///< At most 15 bytes (pthread_setname_np(3)).
    absl::Duration spin;
    /// One round of the engine.
    std::function<Round()> poll;
    /// About ten times a second, unless the engine rests.
    std::function<void()> tick;
    /// What the engine waits for comes by a write of the peer that wakes nobody: sleep only briefly. May be empty.
    std::function<bool()> nap = nullptr;
    /// Only what wakes this thread can give the engine something to do: sleep until then, without ticks. May be empty.
    std::function<bool()> rest = nullptr;
  };

  /// kResourceExhausted when there is no eventfd to wake the thread with.
  static absl::StatusOr<std::unique_ptr<EngineThread>> Create(Options options, Sleeper sleeper);

  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;
  ~EngineThread() { Stop(); }

  /// kResourceExhausted when there is no thread to be had; calls then run on the caller's thread.
  absl::Status Start();
  /// Runs the calls that are waiting, then ends the thread. From then on Call runs on the caller's thread.
  void Stop();

  /// Runs `function` between two rounds and returns when it has run. Not from the engine's own thread.
  void Call(absl::FunctionRef<void()> function);

  /// From now on `fd` wakes the thread when it is readable. On the engine's thread, or before Start.
  void Watch(int fd) { sleeper_.AddFd(fd); }
  /// The opposite.
  void StopWatching(int fd) { sleeper_.RemoveFd(fd); }

  /// Waits until `done`, which is asked on the engine's thread after each round, is true; false at the deadline.
  bool WaitUntil(absl::FunctionRef<bool()> done, Deadline deadline);

 private:
  struct PendingCall {
    absl::FunctionRef<void()> function;
    Notification ran;
  };
  struct Waiter {
    absl::FunctionRef<bool()> done;
    Notification satisfied;
  };

  EngineThread(Options options, Sleeper sleeper, UniqueFd wake);
  void Run();
  void RunCalls();
  void AskWaiters();
  void Wake();
  void Sleep();

  const Options options_;
  Sleeper sleeper_;      // Engine thread.
  const UniqueFd wake_;  // eventfd: calls are waiting, or stop.
  std::thread thread_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> calls_waiting_ = false;
  std::vector<Waiter*> waiters_;  // Engine thread.

  Mutex mutex_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<PendingCall*> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_ENGINE_THREAD_H_
