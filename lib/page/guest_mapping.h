#ifndef FARFAULT_LIB_PAGE_GUEST_MAPPING_H_
#define FARFAULT_LIB_PAGE_GUEST_MAPPING_H_

#include <cstddef>
#include <span>

#include "absl/status/status.h"
#include "farfault/guest_memory.h"

namespace farfault {

/// Holds every region against /proc/self/maps: a region with a file is that file's shared mapping at that offset, one
/// without is private anonymous memory. No two regions share a part of a file. kInvalidArgument names the region and
/// what is mapped there instead.
absl::Status CheckGuestMappings(std::span<const Region> regions);

/// The same; memory of another process is held against that process's maps as far as we may read them. There, memory
/// without a file of its own may be mapped in any way.
absl::Status CheckGuestMappings(const GuestMemory& memory);

/// kInvalidArgument, naming the region: its file has become shorter than the region.
absl::Status CheckFileLengths(std::span<const Region> regions);

/// Takes all pages out of a mapping. Private memory loses them; a file keeps them.
absl::Status DropPages(std::byte* address, std::uint64_t length);

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_GUEST_MAPPING_H_
