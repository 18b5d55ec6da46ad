#ifndef FARFAULT_TEST_SUPPORT_MEMORY_RIG_H_
#define FARFAULT_TEST_SUPPORT_MEMORY_RIG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "farfault/guest_memory.h"
#include "lib/fault/uffd_feed.h"
#include "lib/fault/userfaultfd.h"
#include "lib/page/guest_placement.h"
#include "lib/page/page_layout.h"
#include "test/support/local_transport.h"

namespace farfault {

/// Guest memory with a placement and a real userfaultfd under it, and threads that touch it. The test is the pager and
/// the network. Destruction disarms, which wakes every thread, so that a failed test ends.
class MemoryRig {
 public:
  /// The regions outlive the rig.
  static absl::StatusOr<std::unique_ptr<MemoryRig>> Create(std::vector<Region> regions,
                                                           GuestPlacementOptions options = {},
                                                           std::uint64_t more_features = 0, bool pinning = false);
  ~MemoryRig();

  GuestPlacement& placement() { return *placement_; }
  Userfaultfd& uffd() { return *uffd_; }
  UffdFaultFeed& feed() { return *feed_; }
  LocalTransport& transport() { return transport_; }
  const PageLayout& layout() const { return layout_; }
  const std::vector<std::string>& hints() const { return hints_; }

  std::byte* Guest(PageIndex page) const;
  std::span<const std::byte> GuestPage(PageIndex page) const;

  /// Runs `body` on a thread of the guest.
  std::future<void> Run(std::function<void()> body);
  /// What a thread of the guest sees in a page.
  std::future<std::vector<std::byte>> Read(PageIndex page);

  /// The next `count` events, or fewer when they do not come within some seconds.
  std::vector<FeedEvent> WaitForEvents(std::size_t count);
  /// True when no event is waiting.
  bool Quiet();

  /// The network delivers the pattern of `page` (see fill.h) into its demand frame.
  void Land(PageIndex page, std::uint32_t slot = 0, std::uint64_t salt = 0);

 private:
  MemoryRig() = default;

  std::vector<std::jthread> threads_;  // Destroyed, that is joined, after everything that may wake them.
  std::vector<std::string> hints_;
  LocalTransport transport_;
  GuestMemory memory_;
  PageLayout layout_;
  std::unique_ptr<GuestPlacement> placement_;
  std::optional<Userfaultfd> uffd_;
  std::optional<UffdFaultFeed> feed_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_MEMORY_RIG_H_
