#ifndef FARFAULT_LIB_PUSH_RUN_LIST_RECEIVER_H_
#define FARFAULT_LIB_PUSH_RUN_LIST_RECEIVER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "farfault/page.h"
#include "lib/page/page_layout.h"
#include "lib/page/placement.h"
#include "lib/push/run_list.h"
#include "lib/session/peer.h"
#include "lib/transport/transport.h"

namespace farfault {

/// The destination's end of the push channels: takes run lists in, checks them, hands their runs out one by one, and
/// gives staging room back. One thread; nothing allocates after construction.
class RunListReceiver {
 public:
  static constexpr std::size_t kReceivesPerChannel = 64;
  static constexpr std::size_t BufferBytes(std::size_t channels) {
    return channels * kReceivesPerChannel * kRunListBytes;
  }

  struct Resources {
    std::vector<Channel*> channels;
    std::span<std::byte> buffers;  ///< BufferBytes(channels).
    std::uint32_t buffers_key = 0;
    /// One ring per channel, or empty when no page is staged.
    std::vector<std::span<const std::byte>> staging;
  };

  /// A run whose bytes have arrived.
  struct Arrival {
    PageRun run;
    bool prepaged = false;
    const std::byte* staged = nullptr;  ///< Where the bytes are, when they did not land in place.
  };

  RunListReceiver(const PageLayout& layout, const SourcePeer& source, const PagePlacement& placement,
                  Resources resources);

  /// Posts the receives. False: a channel is broken.
  bool Start();

  /// Looks for the next run. True: `current()` is valid until Advance has taken all its pages. Behind what makes no
  /// sense there is none, whatever else has come.
  bool Next();
  const Arrival& current() const { return current_; }
  /// The first `pages` pages of `current()` have been dealt with.
  void Advance(std::uint64_t pages);

  /// Run lists of this channel that have been dealt with completely.
  std::uint64_t lists_done(std::size_t channel) const { return receivers_[channel].lists_done; }
  bool broken() const { return !failure_.ok(); }
  /// kUnavailable when a channel is lost, kDataLoss when what came over it makes no sense.
  const absl::Status& failure() const { return failure_; }

 private:
  struct Receiver {
    Channel* channel = nullptr;
    std::uint64_t lists_done = 0;
    StagingCursor staging;
    std::uint64_t credit_owed = 0;
    std::uint32_t credits_unsignaled = 0;
  };

  bool Open(std::size_t index, const Completion& completion);
  bool TakeEntry();
  void FinishList();
  void ReturnCredit(std::size_t index);
  std::span<std::byte> Buffer(std::size_t index, std::uint64_t id) const;
  void Fail(absl::Status failure);
  void LoseChannel(const Channel& channel);
  void Refuse(std::string_view what);

  const PageLayout& layout_;
  const SourcePeer& source_;
  const PagePlacement& placement_;
  Resources resources_;
  std::vector<Receiver> receivers_;
  std::size_t next_receiver_ = 0;

  bool open_ = false;  // A run list is being handed out.
  std::size_t open_index_ = 0;
  std::uint64_t open_id_ = 0;
  RunListHeader header_;
  std::size_t next_entry_ = 0;
  Arrival current_;
  absl::Status failure_;
  bool refused_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PUSH_RUN_LIST_RECEIVER_H_
