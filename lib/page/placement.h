#ifndef FARFAULT_LIB_PAGE_PLACEMENT_H_
#define FARFAULT_LIB_PAGE_PLACEMENT_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "farfault/page.h"

namespace farfault {

enum class MapStatus : std::uint8_t {
  kOk,         ///< All of the run is mapped and its waiters are awake.
  kRetry,      ///< `pages_done` pages were mapped; drain the fault feed, then go on behind them (EAGAIN).
  kGuestGone,  ///< The process that lived in the memory has exited (ESRCH).
  kFailed,     ///< See PagePlacement::failure(); no page behind `pages_done` was mapped.
};

struct MapResult {
  MapStatus status = MapStatus::kOk;
  std::uint64_t pages_done = 0;
};

/// Local memory in which the transport may put a page's bytes.
struct Frame {
  std::byte* address = nullptr;
  std::uint32_t local_key = 0;
};

/// Where the bytes of a page land, and how they become visible to the guest. Direct placement: the frame is the page's
/// own place in the alias; staged placement: a slot of a small ring, copied from there. A session may mix both, page by
/// page. Implementations: page/ for real memory, sim/ for the simulated one. One thread. Runs lie inside
/// one region and are of one kind.
class PagePlacement {
 public:
  virtual ~PagePlacement() = default;

  /// True when pushed bytes land where they will live. False: pushed runs land in the staging ring and must be
  /// installed by MapStaged, or kept by KeepStaged, before the ring's space is given back.
  virtual bool direct(PageIndex page) const = 0;

  /// Where a READ of `page` shall put its bytes. `slot` is the demand slot that asks, below the number the placement
  /// was made for; the frame is in use until Map or DropFrame for that page.
  virtual Frame DemandFrame(PageIndex page, std::uint32_t slot) = 0;

  /// Makes bytes that landed in `page`'s demand frame visible, and wakes the waiters. Already mapped (EEXIST) counts as
  /// done where the frame is what is mapped (direct placement), and as a failure where other bytes are.
  virtual MapResult MapDemanded(PageIndex page, std::uint32_t slot) = 0;

  /// Maps a run whose bytes have all landed in place or, before the switchover, been kept by KeepStaged.
  virtual MapResult MapLanded(PageRun run) = 0;

  /// Staged placement only, before the switchover: takes a copy of the bytes at `source`, which the guest does not see
  /// until MapLanded. A run that was kept before gets new bytes.
  virtual MapResult KeepStaged(PageRun run, const std::byte* source) = 0;

  /// Staged placement only: installs a run from the bytes at `source`.
  virtual MapResult MapStaged(PageRun run, const std::byte* source) = 0;

  /// Maps zeros.
  virtual MapResult MapZeros(PageRun run) = 0;

  /// Answers a fault on a page that has been mapped before: two threads touched it, or the kernel took the mapping
  /// away, or the guest gave the page back to it and now expects zeros.
  virtual MapResult MapAgain(PageIndex page) { return direct(page) ? MapLanded({page, 1}) : MapZeros({page, 1}); }

  /// Pages per chunk that TryCollapse takes (512 for small pages on 2 MiB), 0 when `page`'s region has none.
  virtual std::uint32_t chunk_pages(PageIndex page) const = 0;

  /// The chunk has landed as a whole (each page mapped already or not): maps all of it with one huge mapping and wakes
  /// the waiters. False: the kernel declined and nothing changed; map it page by page.
  virtual bool TryCollapse(PageRun chunk) = 0;

  /// Before the switchover only: the bytes of the run, in which both kinds may be mixed, are out of date. What was kept
  /// of it is dropped; where bytes landed in place there is nothing to do.
  virtual bool Forget(PageRun run) = 0;

  /// OK until a method has returned kFailed; then what was refused, to which page and why.
  virtual const absl::Status& failure() const = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_PLACEMENT_H_
