#ifndef FARFAULT_LIB_SESSION_DESTINATION_PAGES_H_
#define FARFAULT_LIB_SESSION_DESTINATION_PAGES_H_

#include <cstddef>
#include <cstdint>

#include "farfault/page.h"
#include "farfault/stats.h"
#include "lib/fault/mapper.h"
#include "lib/fault/waiter_table.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/page_layout.h"
#include "lib/page/page_table.h"
#include "lib/page/placement.h"
#include "lib/session/destination_progress.h"
#include "lib/util/clock.h"

namespace farfault {

/// What a destination knows of its pages, and the steps that a page takes whichever way it came. One thread; nothing
/// allocates after construction. Everything that it is given outlives it.
class DestinationPages {
 public:
  // States that are looked at or changed in one go, so that no fault waits for a walk over a large table.
  static constexpr std::uint64_t kStatesPerRound = 16u << 10;

  struct World {
    const PageLayout& layout;
    PageTable& table;
    PagePlacement& placement;
    const Clock& clock;
    DestinationProgress& progress;
  };

  DestinationPages(World world, std::size_t map_around_pages, std::uint32_t most_waiters);

  const PageLayout& layout() const { return world_.layout; }
  const PageTable& table() const { return world_.table; }
  PagePlacement& placement() { return world_.placement; }
  Mapper& mapper() { return mapper_; }
  const Mapper& mapper() const { return mapper_; }
  SessionStats& stats() { return stats_; }
  const SessionStats& stats() const { return stats_; }
  PageState state(PageIndex page) const { return world_.table.state(page); }

  /// Fails the session when the table does not allow it.
  void Move(PageIndex page, PageState to) {
    const PageState from = world_.table.state(page);
    if (!world_.table.Move(page, to)) RefuseMove(page, from, to);
  }
  /// The page's bytes are in its frame, and nothing is on its way there: it has landed, or, when it was discarded, is a
  /// hole.
  void Land(PageIndex page);
  /// Takes stale pages of one region back, and returns how many of them were here.
  std::uint64_t Forget(PageRun run);
  /// False: the kernel asked to retry.
  bool MapHole(PageIndex page);
  /// Fails the session when mapping can't go on.
  void CheckMap(MapStatus status);

  /// What the guest gave back before the switchover comes from the source all the same.
  void DiscardEarly(PageIndex page);
  void Discard(PageIndex page);
  bool discarded(PageIndex page) const { return discarded_.Test(page); }
  /// The guest runs here from now on.
  void EndEarlyDiscards();

  /// A thread of the guest waits for the page from now on.
  void AddWaiter(PageIndex page, bool network) {
    // Full only with thousands of threads on one page: then some stalls are not recorded.
    static_cast<void>(waiters_.Add(page, world_.clock.Now(), network));
  }
  /// Whoever waits for the page goes on.
  void RecordWake(PageIndex page);

 private:
  void RefuseMove(PageIndex page, PageState from, PageState to);

  World world_;
  Mapper mapper_;
  // Before the switchover: pages whose frame has been taken away, so that pre-paging them again proves nothing.
  // Afterwards: pages that the guest discarded and to whose frame a write may be on its way; zeros once it has landed.
  PageBitmap discarded_;
  bool any_discarded_early_ = false;
  WaiterTable waiters_;
  SessionStats stats_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_DESTINATION_PAGES_H_
