#ifndef FARFAULT_LIB_SESSION_FAULT_ANSWERER_H_
#define FARFAULT_LIB_SESSION_FAULT_ANSWERER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "farfault/page.h"
#include "lib/fault/fault_feed.h"
#include "lib/page/page_bitmap.h"
#include "lib/session/demand_arrivals.h"
#include "lib/session/destination_pages.h"
#include "lib/session/destination_progress.h"

namespace farfault {

/// Takes what the kernel reports of the guest's memory, and sees to it that every fault is answered: from what is here,
/// or by a READ. One thread; nothing allocates after construction.
class FaultAnswerer {
 public:
  /// Faults that may wait here for a slot or a retry; more wait in the kernel.
  static constexpr std::size_t kPending = 4096;

  struct Config {
    bool record = false;      ///< Keep the order of the faults.
    bool runs_early = false;  ///< The guest runs before the switchover: what it does is looked at when that is over.
  };

  FaultAnswerer(DestinationPages& pages, DestinationProgress& progress, DemandArrivals& demand, FaultFeed& feed,
                Config config);

  /// False: Take leaves them in the kernel, for want of room or until the switchover.
  bool takes_faults() const { return room() >= kEventsPerRound && (!runs_early_ || progress_.guest_may_run()); }
  /// Takes faults and discards in. True when there were some.
  bool Take();
  /// Answers faults that wait, in the order in which they came. True when one got somewhere.
  bool AnswerPending();

  /// Answers whoever may wait for a page that has just landed, or turned out to be a hole.
  void AnswerArrived(PageIndex page);
  /// How many pages AnswerArrived may be called for before the next AnswerPending.
  std::size_t room() const { return pending_.size() - count_; }
  bool idle() const { return count_ == 0; }
  /// Pages in the order of their first fault, each once; when they are recorded.
  const std::vector<PageIndex>& fault_order() const { return order_; }

 private:
  static constexpr std::size_t kEventsPerRound = 64;

  void OnFault(PageIndex page);
  bool IsPending(PageIndex page) const;
  void OnDiscard(PageRun run);
  void Answer(PageIndex page);
  void AnswerMapped(PageIndex page);
  void AnswerHole(PageIndex page);
  void AnswerLanded(PageIndex page);
  void Requeue(PageIndex page) { pending_[(head_ + count_++) % pending_.size()] = page; }

  DestinationPages& pages_;
  DestinationProgress& progress_;
  DemandArrivals& demand_;
  FaultFeed& feed_;
  const bool runs_early_;
  std::vector<PageIndex> pending_;  // Ring of pages whose fault could not be answered yet.
  std::vector<PageIndex> order_;    // Of first faults, when they are recorded.
  PageBitmap recorded_;             // The pages in it.
  std::size_t head_ = 0;
  std::size_t count_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_FAULT_ANSWERER_H_
