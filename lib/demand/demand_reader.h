#ifndef FARFAULT_LIB_DEMAND_DEMAND_READER_H_
#define FARFAULT_LIB_DEMAND_DEMAND_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "farfault/page.h"
#include "lib/page/claim.h"
#include "lib/page/page_layout.h"
#include "lib/page/placement.h"
#include "lib/session/peer.h"
#include "lib/transport/transport.h"
#include "lib/util/clock.h"

namespace farfault {

/// A page whose READ is back: the bytes are in the slot's frame, and `claim` is what the source had decided when it was
/// read.
struct DemandedPage {
  PageIndex page = 0;
  std::uint32_t slot = 0;
  Claim claim = Claim::kFree;
  bool ahead = false;
};

struct ReadOptions {
  bool hint = false;   ///< Tell the source's predictor.
  bool ahead = false;  ///< Nobody waits for the page yet; comes back in DemandedPage.
  /// The source pushes nothing, so nobody races: READ the page and nothing else. Its claim counts as free.
  bool alone = false;
};

/// Fetches pages: one chain of four requests per page, WRITE want · WRITE hint · READ claim · READ page, on one demand
/// channel, the last one signalled; or, where nothing is pushed, of the last alone. A slot is taken from Read until
/// Release. One thread; nothing allocates after construction.
class DemandReader {
 public:
  /// Scratch memory per slot, registered for local use, where claims land.
  static constexpr std::size_t kScratchBytes = 64;
  static constexpr std::uint32_t kRequestsPerPage = 4;

  struct Scratch {
    std::span<std::byte> memory;  ///< slots × kScratchBytes.
    std::uint32_t local_key = 0;
  };

  DemandReader(const PageLayout& layout, const SourcePeer& source, std::span<Channel* const> channels,
               PagePlacement& placement, Scratch scratch, std::uint32_t slots);

  bool has_free_slot() const { return !free_slots_.empty(); }
  std::uint32_t free_slots() const { return static_cast<std::uint32_t>(free_slots_.size()); }

  /// Asks for a page that the source has offered. kFull: no slot, or no room on any channel.
  PostResult Read(PageIndex page, ReadOptions options);

  /// Moves pages whose READ is back to `out`. A claim that says Claiming is read again first. `broken()` tells when a
  /// channel is lost.
  std::size_t Poll(std::span<DemandedPage> out);

  /// The slot's frame is not needed any more.
  void Release(std::uint32_t slot) { free_slots_.push_back(slot); }

  bool broken() const { return broken_; }
  /// Why, as the channel that is lost says.
  absl::Status failure() const;

 private:
  struct Slot {
    PageIndex page = 0;
    std::uint32_t channel = 0;
    bool ahead = false;
    bool alone = false;
    bool reread = false;  // The claim must be read again, and the channel had no room for it yet.
  };

  WorkRequest ReadPage(PageIndex page, std::uint32_t slot) const;
  WorkRequest ReadClaim(PageIndex page, std::uint32_t slot) const;
  bool PostClaimRead(std::uint32_t slot);
  Claim ReadBackClaim(std::uint32_t slot) const;
  std::uint8_t& ClaimByte(std::uint32_t slot) const;
  std::size_t PollChannel(Channel& channel, std::span<DemandedPage> out);

  const PageLayout& layout_;
  const SourcePeer& source_;
  std::vector<Channel*> channels_;
  PagePlacement& placement_;
  Scratch scratch_;
  SourceTableLayout tables_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::uint32_t rereads_ = 0;
  std::size_t next_channel_ = 0;
  std::uint64_t hints_ = 0;
  bool broken_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_DEMAND_DEMAND_READER_H_
