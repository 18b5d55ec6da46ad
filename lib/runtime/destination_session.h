#ifndef FARFAULT_LIB_RUNTIME_DESTINATION_SESSION_H_
#define FARFAULT_LIB_RUNTIME_DESTINATION_SESSION_H_

#include <atomic>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/session.h"
#include "lib/runtime/destination_resources.h"
#include "lib/runtime/engine_thread.h"
#include "lib/runtime/memory_offers.h"
#include "lib/runtime/rendezvous.h"
#include "lib/runtime/session_core.h"
#include "lib/session/destination_engine.h"
#include "lib/util/mutex.h"

namespace farfault {

/// The destination's engine on a thread of its own, with userfaultfd and a real transport under it.
class ThreadedDestinationSession final : public DestinationSession {
 public:
  ThreadedDestinationSession(GuestMemory memory, MemoryLease lease, DestinationOptions options);
  ~ThreadedDestinationSession() override;

  /// Meets the source.
  absl::Status Start();

  SessionState state() const override { return core_.state.load(std::memory_order_acquire); }
  absl::Status status() const override;
  SessionStats Stats() const override;
  void Cancel() override;
  absl::Status Prepare() override;
  absl::Status Activate(absl::Duration timeout) override;
  absl::Status FetchRest() override;
  absl::Status Fetch(std::vector<PageRun> order) override;
  std::vector<PageIndex> FaultOrder() const override;
  absl::Status WaitUntilResident(absl::Duration timeout) override;

 private:
  using Phase = DestinationEngine::Phase;

  absl::Status MakeEngine();
  absl::Status StartEngine();
  absl::Status GiveUpPreparing(const absl::Status& why);
  void DisarmUnused();
  absl::Status CheckPrepared(const char* what) const;
  /// Null until Prepare has succeeded.
  EngineThread* running_thread() const { return running_thread_.load(std::memory_order_acquire); }
  EngineThread::Round Round();
  bool PollOnce();
  void Tick();
  void HangUp();
  void WatchFaults();
  void GoQuiet();
  bool NoticePhase();
  void OnPhase(Phase phase);
  void GiveUp(const char* why);
  /// Every page is mapped: hands the memory back to its owner.
  std::vector<PageRun> Holes() const;
  void Finish();
  /// The guest may be waiting for pages that will never come: they must stay missing, whatever happens to this object.
  void KeepMissingPagesParked();

  DestinationOptions options_;
  SessionCore core_;
  SourceOffer offer_;
  DestinationResources resources_;
  std::unique_ptr<DestinationEngine> engine_;  // Engine thread.
  std::unique_ptr<EngineThread> thread_;       // Of Prepare and the destructor; others see it through running_thread_.
  std::atomic<EngineThread*> running_thread_ = nullptr;

  Mutex prepare_mutex_;  // One Prepare at a time.
  bool prepare_called_ ABSL_GUARDED_BY(prepare_mutex_) = false;
  mutable Mutex cancel_mutex_;  // Cancel either finds the thread running, or Prepare finds that it was cancelled.
  bool cancelled_ ABSL_GUARDED_BY(cancel_mutex_) = false;
  absl::Status prepare_status_ ABSL_GUARDED_BY(cancel_mutex_);

  Phase seen_phase_ = Phase::kWaiting;  // Engine thread.
  Nanos failed_at_ = 0;                 // Engine thread.
  bool finished_ = false;               // Engine thread.
  bool frames_revoked_ = false;         // Engine thread.
  bool hung_up_ = false;                // Engine thread.
  bool watches_faults_ = true;          // Engine thread; as MakeSleeper begins.
  absl::Status finish_status_;          // Engine thread.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_DESTINATION_SESSION_H_
