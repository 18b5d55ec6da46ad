#ifndef FARFAULT_LIB_PAGE_POPULATE_H_
#define FARFAULT_LIB_PAGE_POPULATE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "farfault/guest_memory.h"

namespace farfault {

/// Memory of one region that is to be populated.
struct PopulateRange {
  const Region* region = nullptr;  ///< For messages; says what kind of memory it is.
  std::span<std::byte> memory;
  /// On huge folios, as far as the kernel has some. For memory whose addresses and file offsets agree modulo 2 MiB.
  bool huge = false;
  /// Another mapping of it is registered with userfaultfd for missing pages already.
  bool armed = false;
  /// Where `memory` begins in the region's file; needed when `armed` and `huge`.
  std::uint64_t file_offset = 0;
};

/// Makes every page present and writable, in parallel. `progress` is called as the tick of RunInParallel.
/// kResourceExhausted says what is lacking and how to provide it; then some pages have been populated, unless it was
/// plain from the start that there is too little.
absl::Status Populate(const std::vector<PopulateRange>& ranges, std::size_t threads,
                      const std::function<void(std::uint64_t done, std::uint64_t total)>& progress);

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_POPULATE_H_
