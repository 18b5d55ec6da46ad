#ifndef FARFAULT_LIB_FAULT_UFFD_FEED_H_
#define FARFAULT_LIB_FAULT_UFFD_FEED_H_

#include <linux/userfaultfd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"
#include "lib/fault/fault_feed.h"

namespace farfault {

/// Reads what a userfaultfd reports and turns addresses into pages. One thread; nothing allocates after construction
/// unless reading fails.
class UffdFaultFeed final : public FaultFeed {
 public:
  /// `fd` is a non-blocking userfaultfd that outlives the feed; with ppoll it is readable when Drain has something,
  /// unless has_pending() says that it has anyway.
  UffdFaultFeed(int fd, const GuestMemory& memory);

  FeedResult Drain(std::span<FeedEvent> out) override;

  int fd() const { return fd_; }
  /// Events that have been read and did not fit into the last Drain.
  bool has_pending() const { return next_message_ < messages_read_; }
  /// OK until Drain has returned kFailed; then the reason.
  absl::Status status() const override { return status_; }

 private:
  static constexpr std::size_t kBatch = 64;

  struct AddressRange {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    PageIndex first_page = 0;
    unsigned page_shift = 12;
  };

  FeedStatus Read(std::size_t most);
  bool Translate(std::span<FeedEvent> out, std::size_t& events);
  bool AddDiscards(uffd_msg& message, std::span<FeedEvent> out, std::size_t& events) const;
  const AddressRange* Find(std::uint64_t address) const;

  int fd_;
  std::vector<AddressRange> ranges_;  // By address.
  std::array<uffd_msg, kBatch> messages_{};
  std::size_t next_message_ = 0;
  std::size_t messages_read_ = 0;
  absl::Status status_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_FAULT_UFFD_FEED_H_
