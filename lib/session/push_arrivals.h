#ifndef FARFAULT_LIB_SESSION_PUSH_ARRIVALS_H_
#define FARFAULT_LIB_SESSION_PUSH_ARRIVALS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "farfault/page.h"
#include "lib/push/run_list_receiver.h"
#include "lib/session/destination_pages.h"
#include "lib/session/destination_progress.h"
#include "lib/session/fault_answerer.h"
#include "lib/session/peer.h"
#include "lib/session/wire.h"

namespace farfault {

/// Pages that the source WRITEs, pre-paged and pushed: taken in behind their run lists. One thread; nothing allocates
/// after construction.
class PushArrivals {
 public:
  PushArrivals(DestinationPages& pages, DestinationProgress& progress, FaultAnswerer& answerer,
               const SourcePeer& source, RunListReceiver::Resources push);

  /// Takes a bounded number of pages in. True when there were some.
  bool Take();
  /// As many run lists as were sent on each channel have been dealt with.
  bool HasTakenIn(const std::array<std::uint64_t, kMaxPushChannels>& lists_sent) const;

 private:
  std::uint64_t ArriveInPlace(PageRun run, bool prepaged);
  void ArrivePage(PageIndex page, bool prepaged);
  std::uint64_t ArriveStaged(const RunListReceiver::Arrival& arrival);
  // False: the kernel asked to retry.
  bool KeepStaged(PageIndex page, const std::byte* bytes);
  bool InstallStaged(PageIndex page, const std::byte* bytes);

  DestinationPages& pages_;
  DestinationProgress& progress_;
  FaultAnswerer& answerer_;
  std::size_t channels_;
  RunListReceiver receiver_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_PUSH_ARRIVALS_H_
