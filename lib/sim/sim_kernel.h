#ifndef FARFAULT_LIB_SIM_SIM_KERNEL_H_
#define FARFAULT_LIB_SIM_SIM_KERNEL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "farfault/page.h"
#include "lib/fault/fault_feed.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/placement.h"
#include "lib/sim/page_image.h"
#include "lib/sim/scene.h"

namespace farfault::sim {

/// The destination's kernel: which pages the guest has mapped, who waits for one, and what userfaultfd would say.
/// Direct regions land in the guest's own memory; staged ones in demand frames and are copied. Holds the guest's
/// memory, and checks every mapping: at most once, not before the switchover, the source's bytes, zeros for holes and
/// for what was discarded.
class SimKernel final : public PagePlacement, public FaultFeed {
 public:
  /// `source` is what the pages have to be; both outlive this object. Demand frames for `slots` staged pages.
  SimKernel(Scene& scene, PageImage& source, std::uint32_t slots);

  PageImage& memory() { return memory_; }
  std::span<std::byte> demand_frames() { return {demand_frames_.get(), demand_bytes_}; }
  void set_demand_key(std::uint32_t key) { demand_key_ = key; }
  void set_frame_keys(std::vector<std::uint32_t> keys) { frame_keys_ = std::move(keys); }

  // The guest's side.
  /// True when the vCPU may go on; otherwise it is parked, and `woken()` names it later.
  bool Touch(PageIndex page, bool write, std::size_t vcpu);
  /// A run inside one region is given back to the kernel. Its caller sleeps until the pager has heard of it; then
  /// `woken()` names it and it calls Zap.
  void Discard(PageRun run, std::size_t caller);
  /// The pages are gone: the guest's read as zeros from now on, with the next fault.
  void Zap(PageRun run);
  /// vCPUs and callers of Discard that may go on. Cleared by the caller.
  std::vector<std::size_t>& woken() { return woken_; }
  bool has_events() const { return !events_.empty(); }
  std::size_t parked() const { return parked_.size(); }
  std::uint64_t discarded_pages() const { return discarded_pages_; }

  /// The kernel takes a mapped page of a direct region out of the page tables; its bytes stay.
  void ReclaimOne();
  /// The bytes of the page are the guest's: whoever writes there now destroys them.
  bool owned_by_guest(PageIndex page) const { return owned_.Test(page); }
  /// The guest gave the page back and has not touched it since.
  bool zapped(PageIndex page) const { return zapped_.Test(page); }
  /// The pager has heard that the page is given back: it may be zeros already.
  bool zapping(PageIndex page) const { return zapping_[page] > 0; }
  /// Time that mapping has taken since the last call.
  Nanos TakeCost() { return std::exchange(cost_, 0); }
  /// From now on a page that is taken back is an error; until now one that is mapped.
  void OnSwitchedOver() { switched_over_ = true; }

  // FaultFeed.
  FeedResult Drain(std::span<FeedEvent> out) override;

  // PagePlacement.
  bool direct(PageIndex page) const override;
  Frame DemandFrame(PageIndex page, std::uint32_t slot) override;
  MapResult MapDemanded(PageIndex page, std::uint32_t slot) override;
  MapResult MapLanded(PageRun run) override;
  MapResult KeepStaged(PageRun run, const std::byte* source) override;
  MapResult MapStaged(PageRun run, const std::byte* source) override;
  MapResult MapZeros(PageRun run) override;
  MapResult MapAgain(PageIndex page) override;
  std::uint32_t chunk_pages(PageIndex page) const override;
  bool TryCollapse(PageRun chunk) override;
  bool Forget(PageRun run) override;
  const absl::Status& failure() const override { return never_; }

 private:
  struct Parked {
    PageIndex page = 0;
    std::size_t vcpu = 0;
  };

  struct Event {
    FeedEvent event;
    std::size_t caller = 0;
  };

  const RegionConfig& RegionFor(PageIndex page) const { return scene_.config.regions[scene_.layout.RegionOf(page)]; }
  /// How many pages of `run` this call maps before the kernel says EAGAIN.
  std::uint64_t PagesBeforeRetry(PageRun run);
  /// The page's bytes are in place: makes them the guest's.
  void Install(PageIndex page, std::string_view how);
  bool CheckNotMapped(PageIndex page, std::string_view how);
  void Unpark(PageRun run);

  Scene& scene_;
  PageImage& source_;
  PageImage memory_;
  std::uint64_t largest_page_ = 0;
  std::uint64_t demand_bytes_ = 0;
  std::unique_ptr<std::byte[]> demand_frames_;
  std::uint32_t demand_key_ = 0;
  std::vector<std::uint32_t> frame_keys_;

  PageBitmap present_;                  // In the guest's page tables.
  PageBitmap young_;                    // Mapped and not used since.
  PageBitmap owned_;                    // Mapped since the start, the last Forget or the last Zap.
  PageBitmap kept_;                     // Staged, here before the switchover, and not mapped yet.
  PageBitmap zapped_;                   // Given back by the guest, and not mapped since.
  std::vector<std::uint32_t> zapping_;  // Discards that the pager has heard of and that are not done yet.
  std::deque<Event> events_;
  std::vector<Parked> parked_;
  std::vector<std::size_t> woken_;
  // How often what is mapped may be mapped again.
  std::vector<std::uint32_t> excused_;
  const absl::Status never_;  // This kernel refuses nothing.
  bool switched_over_ = false;
  std::uint64_t discarded_pages_ = 0;
  Nanos cost_ = 0;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_SIM_KERNEL_H_
