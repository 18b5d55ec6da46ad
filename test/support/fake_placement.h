#ifndef FARFAULT_TEST_SUPPORT_FAKE_PLACEMENT_H_
#define FARFAULT_TEST_SUPPORT_FAKE_PLACEMENT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/page_layout.h"
#include "lib/page/placement.h"

namespace farfault {

enum class PlacementCall : std::uint8_t { kDemanded, kLanded, kKept, kStaged, kZeros, kCollapse, kForget };

/// Places pages in plain memory, does what a script says, and records what it was asked for. What breaks the contract
/// of PagePlacement (a run outside one region, MapLanded of a staged page, ...) is noted in `violations()`. One thread.
class FakePlacement final : public PagePlacement {
 public:
  struct Options {
    std::vector<bool> direct = {};  ///< Per region; empty: all direct.
    std::uint32_t chunk_pages = 0;  ///< Of direct regions.
    std::uint32_t demand_slots = 16;
  };
  struct Call {
    PlacementCall kind{};
    PageRun run;
    friend bool operator==(const Call&, const Call&) = default;
  };

  FakePlacement(const PageLayout& layout, Options options);

  // What a test sees and says.
  std::vector<Call> TakeCalls();
  const std::vector<Call>& calls() const { return calls_; }
  const std::vector<std::string>& violations() const { return violations_; }
  /// Results of the next Map calls, oldest first; when there are none left, all goes well.
  void Script(MapResult result) { script_.push_back(result); }
  /// Every Map call answers kRetry with no page done until this is called with false.
  void RetryAlways(bool on) { retry_always_ = on; }
  /// From now on every Map call fails, for this reason.
  void FailWith(absl::Status failure) { failure_ = std::move(failure); }
  void DeclineCollapses(bool on) { decline_collapses_ = on; }
  /// Called by every MapZeros, before it does anything; may be empty.
  std::function<void(PageRun)> on_map_zeros;
  /// The frames of a direct region, for the peer's WRITEs.
  std::span<std::byte> frames(std::size_t region) { return frames_[region]; }
  /// What the guest reads in the page; only when mapped(page).
  std::span<const std::byte> guest(PageIndex page) const;
  bool mapped(PageIndex page) const { return mapped_.Test(page); }
  /// The kernel takes the pages out of the guest's mapping and their bytes are gone, as for MADV_REMOVE.
  void DiscardByGuest(PageRun run);

  bool direct(PageIndex page) const override { return options_.direct[layout_.RegionOf(page)]; }
  Frame DemandFrame(PageIndex page, std::uint32_t slot) override;
  MapResult MapDemanded(PageIndex page, std::uint32_t slot) override;
  MapResult MapLanded(PageRun run) override;
  MapResult KeepStaged(PageRun run, const std::byte* source) override;
  MapResult MapStaged(PageRun run, const std::byte* source) override;
  MapResult MapZeros(PageRun run) override;
  std::uint32_t chunk_pages(PageIndex page) const override;
  bool TryCollapse(PageRun chunk) override;
  bool Forget(PageRun run) override;
  const absl::Status& failure() const override { return failure_; }

 private:
  std::span<std::byte> FrameOf(PageIndex page);
  void Check(PageRun run, bool needs_direct, const char* what);
  MapResult NextResult(PlacementCall kind, PageRun run);
  void Install(PageIndex page, std::span<const std::byte> bytes);

  const PageLayout& layout_;
  Options options_;
  // Per region. Direct: the frame, which is what the guest sees. Staged: the guest's own memory.
  std::vector<std::vector<std::byte>> frames_;
  std::vector<std::byte> demand_frames_;
  std::uint64_t largest_page_ = 0;
  PageBitmap mapped_;
  PageBitmap kept_;  // Staged, with bytes that came before the switchover, and not mapped.
  std::vector<Call> calls_;
  std::deque<MapResult> script_;
  std::vector<std::string> violations_;
  absl::Status failure_;
  bool retry_always_ = false;
  bool decline_collapses_ = false;
};

std::ostream& operator<<(std::ostream& out, const FakePlacement::Call& call);
std::ostream& operator<<(std::ostream& out, const PageRun& run);

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_FAKE_PLACEMENT_H_
