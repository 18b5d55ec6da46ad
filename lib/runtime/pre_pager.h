#ifndef FARFAULT_LIB_RUNTIME_PRE_PAGER_H_
#define FARFAULT_LIB_RUNTIME_PRE_PAGER_H_

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/dirty_log.h"
#include "farfault/options.h"
#include "farfault/page.h"
#include "lib/page/page_bitmap.h"
#include "lib/prepage/access_history.h"
#include "lib/prepage/dirty_tracker.h"
#include "lib/prepage/prepage_plan.h"
#include "lib/runtime/engine_thread.h"
#include "lib/runtime/late_memory.h"
#include "lib/runtime/session_core.h"
#include "lib/session/source_engine.h"
#include "lib/util/deadline.h"
#include "lib/util/stopwatch.h"

namespace farfault {

/// Runs pre-paging on the caller's thread: watches the guest, plans rounds, and has the engine send them. Keeps the
/// books of what became stale. One thread at a time.
class PrePager {
 public:
  struct Tracking {
    bool dirty = true;
    bool history = true;
    DirtyLog log;
    /// Where the memory is mapped in another process, in which the guest lives; outlives the pre-pager. Null: here.
    const GuestMemory* external = nullptr;
  };

  /// All outlive this object.
  PrePager(SessionCore& core, SourceEngine& engine, EngineThread& thread, LateMemory& late_memory, Tracking tracking,
           absl::Duration patience)
      : core_(core),
        engine_(engine),
        thread_(thread),
        late_memory_(late_memory),
        tracking_(std::move(tracking)),
        patience_(patience) {}

  absl::StatusOr<PrePageReport> Run(const PrePageBudget& budget);

  /// These pages have been written: from a dirty log of the caller's.
  void MarkStale(std::span<const PageRun> dirty);

  /// The guest has stopped: everything that was sent and is out of date by now.
  absl::StatusOr<std::vector<PageRun>> LastDirty();
  /// Takes out of `holes` what was ever sent: the destination's frames of such pages hold old bytes, not zeros.
  std::vector<PageRun> NeverSent(std::span<const PageRun> holes);
  /// Where holes may be: stretches that ascend, none across regions, with all pages that have not been sent and few
  /// others. Any thread.
  std::vector<PageRun> Unsent() const;
  /// As of the end of the last Run.
  std::vector<PageHeat> TakeHottest() { return std::move(hottest_); }

  /// Lets go of the guest's memory. After this only the engine is used.
  absl::Status Stop();

  std::size_t metadata_bytes() const;

 private:
  std::size_t MostHottest() const;
  absl::Status StartTracking();
  void GoWithoutHistory(const absl::Status& why);
  absl::StatusOr<std::vector<PageRun>> FindUnsendable();
  absl::StatusOr<std::vector<PageRun>> Prepare(const PrePageBudget& budget);
  absl::Status Observe(const PrePageBudget& budget);
  bool WaitWhileItMoves(absl::FunctionRef<bool()> over, Deadline deadline);
  absl::Status ReadLog(std::vector<PageRun>* dirty);
  absl::Status CollectDirty(std::vector<PageRun>* dirty);
  absl::Status FindStale(std::vector<PageRun>* found);
  void MarkEverythingStale();
  absl::StatusOr<bool> SendRound(PrePagePlan& plan, const Stopwatch& watch, Deadline deadline);
  absl::Status WaitUntilSent(Deadline deadline);
  void MarkStaleOnEngineThread(std::span<const PageRun> dirty);

  SessionCore& core_;
  SourceEngine& engine_;
  EngineThread& thread_;
  LateMemory& late_memory_;
  Tracking tracking_;
  const absl::Duration patience_;  // For what is on its way when the budget's time is over.
  std::unique_ptr<DirtyTracker> dirty_tracker_;
  std::unique_ptr<AccessHistory> history_;
  PageBitmap stale_;  // Sent, written afterwards, and perhaps sent again since. Engine thread. Empty until needed.
  std::vector<PageHeat> hottest_;
  std::uint64_t rounds_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_PRE_PAGER_H_
