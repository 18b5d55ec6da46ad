#ifndef FARFAULT_LIB_DEMAND_WANT_MARKS_H_
#define FARFAULT_LIB_DEMAND_WANT_MARKS_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "farfault/page.h"
#include "lib/session/peer.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault {

/// Sets `want` of pages that a destination has already, by one-sided WRITEs, so that the source never pushes them: a
/// destination that takes a running guest over must not have them written again. Before the switchover, which begins
/// the push; nobody else uses the channel. Returns when the source has the marks. kUnavailable, kDeadlineExceeded.
absl::Status MarkWanted(Channel& channel, const SourcePeer& source, std::uint64_t total_pages,
                        std::span<const PageRun> runs, Deadline deadline);

}  // namespace farfault

#endif  // FARFAULT_LIB_DEMAND_WANT_MARKS_H_
