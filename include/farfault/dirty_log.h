#ifndef FARFAULT_DIRTY_LOG_H_
#define FARFAULT_DIRTY_LOG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "farfault/export.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"

namespace farfault {

/// A hypervisor's own record of what its guest writes, such as KVM's dirty log: appends to `written` the pages that
/// have changed since its last call, and counts anew from there on, in one step. Pages that have not changed do no
/// harm; a change that is left out reaches the destination stale.
///
/// The log runs since before the first `PrePage`. Called from the thread that is inside `PrePage`, once per round
/// before any byte of it is read, and inside `SwitchOver`, where it adds to the downtime; never from two at once. It
/// must not call back into the session. An error ends `PrePage` or `SwitchOver` with that error, and everything that
/// was sent counts as changed, so that a later attempt is sound.
using DirtyLog = std::function<absl::Status(std::vector<PageRun>* written)>;

/// A bitmap as KVM_GET_DIRTY_LOG fills it, for a part of one region: the lowest bit of the first word stands for the
/// first `kSmallPage` bytes, whatever the region's page size. A memory slot of KVM is one such part.
struct DirtyBitmap {
  /// Index in `GuestMemory::regions`.
  std::size_t region = 0;
  /// Where the part begins in the region, in bytes, a multiple of `kSmallPage`.
  std::uint64_t offset = 0;
  /// How many bits count.
  std::uint64_t pages = 0;
  /// At least `pages` bits; further ones are ignored.
  std::span<const std::uint64_t> words;
};

/// Appends the pages whose bits are set, ascending and united to runs. kInvalidArgument: there is no such region, the
/// part does not lie in it, or the words do not suffice.
FARFAULT_EXPORT absl::Status AppendDirtyPages(const GuestMemory& memory, const DirtyBitmap& bitmap,
                                              std::vector<PageRun>* written);

}  // namespace farfault

#endif  // FARFAULT_DIRTY_LOG_H_
