#ifndef FARFAULT_LIB_RUNTIME_SOURCE_SESSION_H_
#define FARFAULT_LIB_RUNTIME_SOURCE_SESSION_H_

#include <atomic>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/session.h"
#include "lib/page/file_view.h"
#include "lib/runtime/engine_thread.h"
#include "lib/runtime/late_memory.h"
#include "lib/runtime/pre_pager.h"
#include "lib/runtime/rendezvous.h"
#include "lib/runtime/session_core.h"
#include "lib/runtime/source_resources.h"
#include "lib/session/source_engine.h"
#include "lib/util/mutex.h"
#include "lib/util/notification.h"

namespace farfault {

/// The source's engine on a thread of its own, with a real transport under it.
class ThreadedSourceSession final : public SourceSession {
 public:
  /// The guest's memory as this process sees it; `external` is where it is mapped otherwise, and `view` owns what this
  /// process has mapped for it.
  struct Guest {
    GuestMemory memory;
    std::optional<GuestMemory> external;
    FileView view;
  };

  ThreadedSourceSession(Guest guest, MemoryLease lease, SourceOptions options);
  ~ThreadedSourceSession() override;

  /// Meets the destination and starts the thread.
  absl::Status Start();

  SessionState state() const override { return core_.state.load(std::memory_order_acquire); }
  absl::Status status() const override;
  SessionStats Stats() const override;
  void Cancel() override;
  absl::StatusOr<PrePageReport> PrePage(const PrePageBudget& budget) override;
  absl::Status ReportDirty(std::span<const PageRun> dirty) override;
  absl::Status SwitchOver() override;
  absl::Status WaitUntilDrained(absl::Duration timeout) override;

 private:
  using Phase = SourceEngine::Phase;

  absl::StatusOr<Rendezvous::Agreement> AgreeOnRegions(Connection& connection);
  absl::Status StartEngine();
  absl::Status CheckBeforeSwitchOver(const char* what) const;
  absl::StatusOr<std::vector<PageRun>> SettleMemory() ABSL_EXCLUSIVE_LOCKS_REQUIRED(guest_mutex_);
  absl::Status HandOver();
  std::vector<PageRun> Holes();
  absl::Status WhyNotHandedOver() const;
  void BeginPushSoon() ABSL_EXCLUSIVE_LOCKS_REQUIRED(guest_mutex_);
  void BeginPush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(guest_mutex_);
  void LetGoOfGuest();
  void StopTracking() ABSL_EXCLUSIVE_LOCKS_REQUIRED(guest_mutex_);
  EngineThread::Round Round();
  void GoQuiet(Phase phase);
  void Tick();

  SourceOptions options_;
  const std::optional<GuestMemory> external_;
  FileView view_;
  SessionCore core_;
  SourceResources resources_;
  std::unique_ptr<SourceEngine> engine_;  // Engine thread.
  std::unique_ptr<EngineThread> thread_;
  std::unique_ptr<LateMemory> late_memory_;  // Ends before what it uses.
  Phase seen_phase_ = Phase::kPrePaging;     // Engine thread.
  Nanos ended_at_ = 0;                       // Engine thread.
  bool hung_up_ = false;                     // Engine thread.

  Mutex guest_mutex_;  // One of PrePage, ReportDirty and SwitchOver at a time.
  std::unique_ptr<PrePager> pre_pager_ ABSL_GUARDED_BY(guest_mutex_);
  bool switch_over_called_ ABSL_GUARDED_BY(guest_mutex_) = false;
  std::thread push_starter_ ABSL_GUARDED_BY(guest_mutex_);
  Notification push_started_;  // Nothing looks at the guest's page tables any more.
  std::atomic<std::int64_t> switchover_ns_ = 0;
  std::atomic<std::uint64_t> prepage_rounds_ = 0;
  std::atomic<std::size_t> prepage_metadata_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_SOURCE_SESSION_H_
