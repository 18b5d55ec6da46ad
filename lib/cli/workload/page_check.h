#ifndef FARFAULT_LIB_CLI_WORKLOAD_PAGE_CHECK_H_
#define FARFAULT_LIB_CLI_WORKLOAD_PAGE_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "farfault/guest_memory.h"
#include "lib/cli/workload/write_journal.h"

namespace farfault {

/// Writes a checksum per page to `digests`. Pages that were never populated stay so. kInternal when the file behind the
/// region cannot be read. `progress` is called now and then with the bytes done.
absl::Status DigestPages(const Region& region, std::span<std::uint64_t> digests,
                         const std::function<void(std::uint64_t)>& progress);

struct PageCheck {
  std::uint64_t verified = 0;  ///< Pages that were compared.
  std::uint64_t wrong = 0;
};

/// Compares every page, as it was before the writes in `undo` (offsets in `memory`), with its digest.
PageCheck CheckPages(std::span<const std::byte> memory, std::uint64_t page_size, std::span<const std::uint64_t> digests,
                     std::vector<WriteJournal::Entry> undo, const std::function<void(std::uint64_t)>& progress);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_PAGE_CHECK_H_
