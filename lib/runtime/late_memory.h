#ifndef FARFAULT_LIB_RUNTIME_LATE_MEMORY_H_
#define FARFAULT_LIB_RUNTIME_LATE_MEMORY_H_

#include <cstdint>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "farfault/page.h"
#include "lib/runtime/engine_thread.h"
#include "lib/runtime/session_core.h"
#include "lib/runtime/source_memory.h"
#include "lib/session/source_engine.h"
#include "lib/util/mutex.h"

namespace farfault {

/// Sees to it that pages which were holes when the source made its offer, and have got data since, are registered and
/// offered as well before the guest is handed over. A thread does it again and again while the guest runs, so that at
/// the switchover only what the guest has populated in the last fraction of a second is left to do, however large the
/// memory is.
///
/// Thread contract: CatchUp and Missing from any thread but the engine's.
class LateMemory {
 public:
  enum class Guest : std::uint8_t { kRuns, kStopped };

  /// All outlive this object.
  LateMemory(SessionCore& core, SourceMemory& memory, SourceEngine& engine, EngineThread& thread)
      : core_(core), memory_(memory), engine_(engine), thread_(thread) {}
  LateMemory(const LateMemory&) = delete;
  LateMemory& operator=(const LateMemory&) = delete;
  ~LateMemory() { Stop(); }

  /// Does nothing when everything is registered anyway. Without a thread to be had, the switchover finds more to do.
  void Start();
  void Stop();

  /// Registers and offers what has got data by now. What has no key afterwards is a hole if the guest has stopped.
  /// kResourceExhausted: the guest has more memory by now than may be locked.
  absl::Status CatchUp(Guest guest) ABSL_LOCKS_EXCLUDED(mutex_);
  /// What is not registered.
  std::vector<PageRun> Missing() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_, stop_mutex_);
  bool guest_runs_here();
  absl::Duration PauseAfterLook() ABSL_LOCKS_EXCLUDED(mutex_);

  SessionCore& core_;
  SourceMemory& memory_;
  SourceEngine& engine_;
  EngineThread& thread_;
  Mutex mutex_;  // One that changes memory_; the engine only reads it, and not inside a Call.
  absl::Duration looking_ ABSL_GUARDED_BY(mutex_);  // Of the last CatchUp; registering is not looking.
  Mutex stop_mutex_;
  CondVar stopped_;
  bool stop_ ABSL_GUARDED_BY(stop_mutex_) = false;
  std::thread catch_up_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_LATE_MEMORY_H_
