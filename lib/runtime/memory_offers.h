#ifndef FARFAULT_LIB_RUNTIME_MEMORY_OFFERS_H_
#define FARFAULT_LIB_RUNTIME_MEMORY_OFFERS_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"
#include "lib/page/page_layout.h"
#include "lib/runtime/rendezvous.h"
#include "lib/session/control_link.h"
#include "lib/session/peer.h"
#include "lib/util/deadline.h"

namespace farfault {

/// What a source tells of its memory once both ends have proved themselves.
struct SourceOffer {
  SourcePeer source;
  std::vector<PageRun> holes;  ///< They need no frames; the smallest are not among them.
};

/// The destination's part of agreeing on the regions. kFailedPrecondition names the first difference.
absl::StatusOr<Rendezvous::Agreement> AgreeOnRegions(ControlLink& link, const GuestMemory& memory, Deadline deadline);

/// What follows when they agree.
absl::StatusOr<SourceOffer> ReceiveSourceOffer(ControlLink& link, const PageLayout& layout, Deadline deadline);

/// What a destination answers, once it is prepared.
absl::StatusOr<DestinationPeer> ReceiveDestinationOffer(ControlLink& link, const PageLayout& layout,
                                                        std::size_t push_channels, Deadline deadline);

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_MEMORY_OFFERS_H_
