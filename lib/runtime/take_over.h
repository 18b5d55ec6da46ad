#ifndef FARFAULT_LIB_RUNTIME_TAKE_OVER_H_
#define FARFAULT_LIB_RUNTIME_TAKE_OVER_H_

#include <span>

#include "absl/status/status.h"
#include "farfault/page.h"
#include "lib/session/destination_engine.h"
#include "lib/session/peer.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault {

/// Has an engine that has not run yet go on with a guest of an earlier session: `mapped` pages are the guest's, and
/// neither they nor what the engine's table knows already is pushed again. Nobody uses the channel meanwhile.
absl::Status TakeOver(DestinationEngine& engine, std::span<const PageRun> mapped, Channel& demand,
                      const SourcePeer& source, Deadline deadline);

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_TAKE_OVER_H_
