#ifndef FARFAULT_LIB_PAGE_REGISTER_EXTENTS_H_
#define FARFAULT_LIB_PAGE_REGISTER_EXTENTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/page.h"
#include "lib/page/extent_table.h"
#include "lib/transport/transport.h"

namespace farfault {

using RegisteredExtents = std::vector<std::unique_ptr<RegisteredMemory>>;

struct ExtentMemory {
  std::string_view region;  ///< For messages.
  std::span<std::byte> bytes;
};

/// Registers each of `extents`, in parallel where registering takes time; the result is in the same order. After an
/// error nothing of it stays registered; the message names the region and how much there was to do. `progress` is
/// called with bytes, as the tick of RunInParallel; may be empty.
absl::StatusOr<RegisteredExtents> RegisterExtents(
    Transport& transport, std::span<const ExtentMemory> extents, RemoteAccess access, std::size_t threads,
    const std::function<void(std::uint64_t done, std::uint64_t total)>& progress);

/// With this side's key, or with the peer's.
inline Extent LocalExtent(PageRun pages, const RegisteredMemory& memory) {
  return {pages, reinterpret_cast<std::uint64_t>(memory.bytes().data()), memory.local_key()};
}
inline Extent RemoteExtent(PageRun pages, const RegisteredMemory& memory) {
  return {pages, memory.remote_address(), memory.remote_key()};
}

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_REGISTER_EXTENTS_H_
