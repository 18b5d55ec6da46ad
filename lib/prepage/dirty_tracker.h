#ifndef FARFAULT_LIB_PREPAGE_DIRTY_TRACKER_H_
#define FARFAULT_LIB_PREPAGE_DIRTY_TRACKER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"
#include "lib/fault/guest_process.h"
#include "lib/fault/userfaultfd.h"
#include "lib/page/page_bitmap.h"
#include "lib/prepage/pagemap.h"

namespace farfault {

/// Finds out which pages of this process's guest memory change, while it runs: asynchronous write protection, and one
/// scan of the page tables per round. Shared memory (memfd, tmpfs, hugetlbfs) and private anonymous memory.
///
/// What a sender has to do: Collect first, then read the bytes. A page that Collect returns is protected again when
/// it returns, so a write that comes while the bytes are being read is in the next Collect.
///
/// What is seen: every write through the mapping, by the guest's threads or by system calls on their behalf, and every
/// MADV_DONTNEED of private memory. Not seen: writes through other mappings of the file and by write(2). A discard of
/// shared memory (MADV_REMOVE, FALLOC_FL_PUNCH_HOLE) leaves no mark on the page table; see CollectLast.
///
/// One thread at a time. The memory outlives the tracker. While it is armed the range is mapped in small pages, and
/// nobody else can register it with userfaultfd.
class DirtyTracker {
 public:
  /// Whether this host can track at all; what Create would say.
  static absl::Status CheckSupported();

  /// kUnimplemented: the kernel is older than 6.7. kPermissionDenied: userfaultfd is not allowed.
  static absl::StatusOr<std::unique_ptr<DirtyTracker>> Create(const GuestMemory& memory);

  /// Of memory that is mapped in another process, with that process's userfaultfd: what that process writes through
  /// that mapping is seen. `view` is the same memory as it is mapped here. kInvalidArgument: the userfaultfd lacks
  /// features. kPermissionDenied: we may not look at that process's page tables. Start and both Collects: kAborted when
  /// the process has exited.
  static absl::StatusOr<std::unique_ptr<DirtyTracker>> CreateExternal(const GuestMemory& external,
                                                                      const GuestMemory& view);

  DirtyTracker(const DirtyTracker&) = delete;
  DirtyTracker& operator=(const DirtyTracker&) = delete;
  ~DirtyTracker();

  /// From now on changes are seen. kInvalidArgument: a kind of memory that cannot be tracked. kFailedPrecondition:
  /// another userfaultfd has the range.
  absl::Status Start();

  /// Appends the pages that changed since Start or the last Collect, ascending, and protects them again. May
  /// return pages that did not change, never the other way round.
  absl::Status Collect(std::vector<PageRun>* dirty);

  /// The last Collect, when the guest has stopped: only pages in `sent`, so that its cost follows what was sent and not
  /// the size of the memory (64 MiB of it: 0.1 to 0.2 ms, in 256 MiB and in 4 GiB alike; 3 to 6 ms when AccessHistory
  /// has just dropped the entries). Also returns pages in `sent` that were discarded and have not been touched since. A
  /// shared page that is discarded and then only read is not noticed.
  absl::Status CollectLast(const PageBitmap& sent, std::vector<PageRun>* dirty);

  /// Takes the protection away; the memory is as it was before Start. Idempotent.
  absl::Status Stop();

 private:
  DirtyTracker(const GuestMemory& memory, const GuestMemory& view, Pagemap pagemap, Userfaultfd userfaultfd);

  bool registers() const { return memory_.external() == nullptr || !memory_.external()->registered; }
  absl::Status CheckAlive() const;

  absl::Status Protect(const Region& region, Pagemap::AddressRange range) const;
  absl::Status CollectRegion(std::size_t region, std::vector<PageRun>* dirty) const;
  absl::Status CollectSent(std::size_t region, const PageBitmap& sent, std::vector<PageRun>* dirty) const;

  const GuestMemory memory_;  // Where the guest has it mapped,
  const GuestMemory view_;    // and where this process has.
  const GuestProcess process_;
  Pagemap pagemap_;
  Userfaultfd userfaultfd_;
  std::size_t armed_regions_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PREPAGE_DIRTY_TRACKER_H_
