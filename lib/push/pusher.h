#ifndef FARFAULT_LIB_PUSH_PUSHER_H_
#define FARFAULT_LIB_PUSH_PUSHER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "farfault/options.h"
#include "farfault/page.h"
#include "lib/page/claim.h"
#include "lib/page/extent_table.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/page_layout.h"
#include "lib/push/push_order.h"
#include "lib/push/run_list.h"
#include "lib/session/peer.h"
#include "lib/transport/transport.h"

namespace farfault {

/// Posts WRITEs in batches, each followed by its run list, with a bounded number of bytes on their way. Before the
/// switchover it sends what it is offered (pre-paging); afterwards what the order says, under the claim protocol. One
/// thread.
class Pusher {
 public:
  static constexpr std::size_t kListsPerChannel = 32;
  static constexpr std::size_t ListBytes(std::size_t channels) { return channels * kListsPerChannel * kRunListBytes; }

  struct Resources {
    const ExtentTable& memory;       ///< With this side's keys. May grow between two calls until StartPush.
    std::vector<Channel*> channels;  ///< 1 to 8.
    std::span<std::byte> lists;      ///< ListBytes(channels) of memory for run lists.
    std::uint32_t lists_key = 0;
  };

  struct Counters {
    std::uint64_t pages_sent = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t pages_yielded = 0;
  };

  Pusher(const PageLayout& layout, const DestinationPeer& destination, SourceTables tables, Resources resources,
         const PushOptions& options, Predictor& predictor);

  // Pre-paging: before PushFirst and StartPush. A page always takes the same channel, so that an older version of it,
  // on its way still, cannot overtake the newer one.
  void Offer(PageRun run);
  void DropOffers();
  bool has_offers() const;
  /// The run has been written since it was sent.
  void MarkStale(PageRun run) { settled_.ClearRun(run); }

  // After the switchover.
  void MarkHole(PageRun run) { settled_.SetRun(run); }
  /// Until StartPush only these. None of them may be told to be a hole later on.
  void PushFirst(std::span<const PageRun> runs);
  /// Everything that is left. Pages without a key are holes.
  void StartPush();
  void OnFault(PageIndex page, absl::Time when) { order_.OnFault(page, when); }
  /// Nothing is left to push, and nothing is on its way.
  bool complete() const { return exhausted_ && idle(); }

  /// Takes completions, posts what the window allows. True when it did something.
  bool Poll();

  /// The next run waits for the destination to give staging room back, which it does without waking us.
  bool waits_for_credit() const { return waits_for_credit_; }

  bool idle() const { return bytes_in_flight_ == 0 && pending_length_ == 0; }
  bool broken() const { return broken_; }
  /// Why, as the channel that is lost says.
  absl::Status failure() const;
  const PageBitmap& settled() const { return settled_; }
  std::uint64_t lists_sent(std::size_t channel) const { return senders_[channel].lists_sent; }
  std::uint64_t bytes_in_flight() const { return bytes_in_flight_; }
  std::uint64_t predictor_out_of_range() const { return order_.predictor_out_of_range(); }
  const Counters& counters() const { return counters_; }

 private:
  // Neighbours that are pre-paged over one channel.
  static constexpr std::uint64_t kStripePages = 64;

  // What is out on one channel. Completions come in order, so the run lists in use form a ring.
  struct Sender {
    Channel* channel = nullptr;
    std::uint64_t lists_sent = 0;
    std::uint64_t lists_completed = 0;
    std::uint32_t slots_in_use = 0;
    StagingCursor staging;
    std::deque<PageRun> offered;
    struct List {
      std::uint64_t bytes = 0;
      std::uint32_t slots = 0;
    };
    std::array<List, kListsPerChannel> lists{};
  };

  bool TakeCompletions(Sender& sender);
  bool PostBatch(std::size_t index);
  bool PostPending();
  PageRun NextRun(Sender& sender, std::uint64_t max_bytes);
  PageRun NextOffered(Sender& sender, std::uint64_t max_bytes);
  PageRun ClipToExtents(PageRun run) const { return destination_.frames.Clip(resources_.memory.Clip(run)); }
  bool FitsBatch(PageRun run) const;
  /// Cuts a staged run to what the ring can hold at all. False: the ring has no room for it yet.
  bool HasStagingRoom(const Sender& sender, std::size_t index, PageRun& run) const;
  void AddRun(Sender& sender, std::size_t index, PageRun run);
  void ClaimAndAdd(Sender& sender, std::size_t index, PageRun run);
  void FinishBatch(Sender& sender, std::size_t index);
  std::byte* ListMemory(std::size_t index, std::uint64_t number) const;

  const PageLayout& layout_;
  const DestinationPeer& destination_;
  SourceTables tables_;
  Resources resources_;
  std::uint64_t window_bytes_;
  std::uint64_t batch_bytes_;
  PageBitmap settled_;
  PushOrder order_;
  std::vector<Sender> senders_;
  std::size_t next_sender_ = 0;
  bool pushing_ = false;     // The guest may run at the destination: every page is claimed first.
  bool everything_ = false;  // What is left, not only what is offered.
  bool exhausted_ = false;
  bool broken_ = false;
  bool waits_for_credit_ = false;
  std::uint64_t bytes_in_flight_ = 0;

  // The batch that is being put together, or that found its channel full.
  std::array<WorkRequest, kMaxRunsPerList + 1> chain_;
  std::array<RunListEntry, kMaxRunsPerList> entries_;
  std::size_t runs_ = 0;
  std::uint64_t batch_filled_ = 0;
  std::size_t pending_length_ = 0;
  std::size_t pending_sender_ = 0;

  Counters counters_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PUSH_PUSHER_H_
