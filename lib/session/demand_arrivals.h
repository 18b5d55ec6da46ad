#ifndef FARFAULT_LIB_SESSION_DEMAND_ARRIVALS_H_
#define FARFAULT_LIB_SESSION_DEMAND_ARRIVALS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "farfault/page.h"
#include "lib/demand/demand_reader.h"
#include "lib/page/extent_table.h"
#include "lib/page/page_state.h"
#include "lib/session/destination_pages.h"
#include "lib/session/destination_progress.h"
#include "lib/session/peer.h"
#include "lib/transport/transport.h"

namespace farfault {

/// Pages that the destination READs: asked for, taken in when they are back, and mapped when the claim allows it. One
/// thread; nothing allocates after construction.
class DemandArrivals {
 public:
  DemandArrivals(DestinationPages& pages, DestinationProgress& progress, const SourcePeer& source,
                 std::span<Channel* const> channels, DemandReader::Scratch scratch, std::uint32_t slots);

  /// After the switchover a page that the source has not offered is a hole: enters it as one. Gives the page's state.
  PageState EnterIfHole(PageIndex page);
  /// Asks for an absent page that is none. False: there is no room now.
  bool Ask(PageIndex page) { return Read(page, {.hint = progress_.push_expected()}); }
  /// Pages to read ahead of demand, behind those that were given before; runs inside the memory.
  void AddOrder(std::vector<PageRun> order);
  bool has_order() const { return next_in_order_ < order_.size(); }
  /// Reads ahead of demand: in the order that was given, then, with `rest`, what else is missing. True when it did
  /// something.
  bool ReadAhead(bool rest);

  /// Takes in what is back. True when something was.
  bool Take();
  /// Maps what the kernel asked to retry.
  bool RetryUnmapped();

 private:
  struct Unmapped {
    PageIndex page = 0;
    std::uint32_t slot = 0;
  };

  bool Read(PageIndex page, ReadOptions options);
  bool ReadInOrder();
  bool ReadRest();
  void OnDemanded(const DemandedPage& demanded);
  bool MapDemanded(PageIndex page, std::uint32_t slot);

  DestinationPages& pages_;
  DestinationProgress& progress_;
  const ExtentTable& offered_;
  DemandReader reader_;
  std::vector<Unmapped> unmapped_;  // Demanded pages whose mapping the kernel asked to retry.
  std::uint32_t most_reads_ahead_;
  std::uint32_t reads_ahead_ = 0;
  PageIndex read_ahead_at_ = 0;
  std::vector<PageRun> order_;  // What is to be read ahead; runs shrink from the front.
  std::size_t next_in_order_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_DEMAND_ARRIVALS_H_
