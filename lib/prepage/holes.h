#ifndef FARFAULT_LIB_PREPAGE_HOLES_H_
#define FARFAULT_LIB_PREPAGE_HOLES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"

namespace farfault {

enum class WhileItGrows : std::uint8_t {
  kData,   ///< They count as populated.
  kHoles,  ///< They count as holes: for one who looks again when the guest has stopped.
};

/// Whole pages of this process's guest memory that were never populated (or were discarded), ascending: they
/// read as zeros and need no transfer. What cannot be told counts as populated. The guest must not write meanwhile, or
/// the answer is old when it comes.
///
/// Files: SEEK_DATA and SEEK_HOLE; the file's offset is restored. Private anonymous memory: neither mapped (but for the
/// zero page) nor swapped; under a DirtyTracker everything counts as populated, so stop it first.
/// The cost grows with the populated shared memory, about 25 ms per 256 MiB in small pages where it was measured: do it
/// outside the downtime.
///
/// hugetlbfs tells what a file has only in sum. Should the guest populate pages during every one of several looks,
/// `while_it_grows` says what becomes of pages that are not mapped here.
absl::StatusOr<std::vector<PageRun>> FindHoles(const GuestMemory& memory, WhileItGrows while_it_grows = {});

/// The same inside `stretches`, which ascend and of which none crosses a region. The cost grows with what is populated
/// there.
absl::StatusOr<std::vector<PageRun>> FindHolesIn(const GuestMemory& memory, std::span<const PageRun> stretches,
                                                 WhileItGrows while_it_grows = {});

/// Only holes of at least `min_bytes`.
absl::StatusOr<std::vector<PageRun>> FindLargeHoles(const GuestMemory& memory, std::uint64_t min_bytes);

}  // namespace farfault

#endif  // FARFAULT_LIB_PREPAGE_HOLES_H_
