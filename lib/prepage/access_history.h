#ifndef FARFAULT_LIB_PREPAGE_ACCESS_HISTORY_H_
#define FARFAULT_LIB_PREPAGE_ACCESS_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"
#include "lib/prepage/heat_counters.h"
#include "lib/prepage/pagemap.h"

namespace farfault {

/// Which pages the guest touches, reads included, while it still runs here. A round begins by dropping the page-table
/// entries of shared regions, which loses nothing, and ends by looking which have come back. The marks of a
/// DirtyTracker survive.
///
/// Private anonymous regions have no history of their own: dropping their entries would drop their bytes. Neither has
/// hugetlbfs: a DirtyTracker would take pages without entries for discarded ones. Feed them what a DirtyTracker found
/// (NoteTouched).
///
/// Whoever reads the memory through the guest's own mapping between BeginRound and EndRound leaves traces like the
/// guest's: send from another mapping of the file, or between rounds. On a range that no DirtyTracker has armed, the
/// kernel maps around a read fault, and up to 16 neighbours look touched as well.
///
/// One thread. The memory outlives it.
class AccessHistory {
 public:
  /// kUnimplemented: the kernel is older than 6.7. kInvalidArgument: a region has a file but is not mapped shared, so
  /// that a round would lose its bytes.
  static absl::StatusOr<std::unique_ptr<AccessHistory>> Create(const GuestMemory& memory);

  /// Watches nothing and knows only what it is told (NoteTouched): for a guest in another process, which alone could
  /// drop its page-table entries.
  static absl::StatusOr<std::unique_ptr<AccessHistory>> CreateBlind(const GuestMemory& memory);

  /// True when the kernel can watch at least one region.
  bool watches_any() const;

  /// kFailedPrecondition: the memory is locked (mlock), and its entries cannot be dropped.
  absl::Status BeginRound();
  /// Counts the pages touched since BeginRound.
  absl::Status EndRound();
  /// Counts these pages once more.
  void NoteTouched(std::span<const PageRun> runs);

  /// At most `max` pages, hottest first, ascending among equals, so that neighbours stay together. Takes a few
  /// nanoseconds per page of guest memory: call it while the guest still runs.
  std::vector<PageHeat> HottestFirst(std::size_t max) const { return heat_.HottestFirst(max); }

  std::uint64_t rounds() const { return rounds_; }
  std::size_t size_bytes() const { return heat_.size_bytes(); }

 private:
  AccessHistory(const GuestMemory& memory, Pagemap pagemap, bool blind);

  bool Watches(const Region& region) const { return !blind_ && region.fd >= 0 && region.page_size == kSmallPage; }

  const GuestMemory memory_;
  Pagemap pagemap_;
  const bool blind_;
  HeatCounters heat_;
  std::uint64_t rounds_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PREPAGE_ACCESS_HISTORY_H_
