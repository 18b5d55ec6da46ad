#ifndef FARFAULT_LIB_PAGE_GUEST_PLACEMENT_H_
#define FARFAULT_LIB_PAGE_GUEST_PLACEMENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"
#include "lib/fault/guest_process.h"
#include "lib/fault/userfaultfd.h"
#include "lib/page/alias.h"
#include "lib/page/extent_table.h"
#include "lib/page/guest_addresses.h"
#include "lib/page/page_layout.h"
#include "lib/page/placement.h"
#include "lib/page/register_extents.h"
#include "lib/session/peer.h"
#include "lib/transport/transport.h"
#include "lib/util/mapping.h"

namespace farfault {

struct GuestPlacementOptions {
  /// Demand reads that may be out at once.
  std::uint32_t demand_slots = 128;
  /// Bytes of a push channel's staging ring, rounded up to whole pages; at least one page.
  std::uint64_t staging_bytes = 8u << 20;
  std::size_t push_channels = 1;
  bool collapse_huge_pages = true;
  /// Threads that populate and register; 0 means one per core.
  std::size_t threads = 0;
  /// Pages that the source never populated: not populated here either, and where registering pins memory, not
  /// registered (see extent_plan.h); what comes for them all the same is staged.
  std::span<const PageRun> holes = {};
  /// Bytes populated and registered so far, about ten times a second on the calling thread; may be empty.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};
  /// Called on the calling thread for what works, but slower than it could; may be empty.
  std::function<void(std::string hint)> hint = {};
};

/// The destination's guest memory on this machine. Regions with a file are placed directly, by way of an alias, except
/// for pages that are not registered; private anonymous regions are staged. The guest may live in another process
/// (GuestMemory::external): then its pages are not dropped here, which only that process can do, and all of a file is
/// registered, holes included.
///
/// Life: Create populates and registers with the transport (or Open, PopulateEarly and SetUp do so, one by one); Arm
/// makes touching a page a fault; the PagePlacement methods map pages; RevokeFrames as soon as every page is resident;
/// Disarm when every page is mapped; CollapseSome until it is false. Destruction does not disarm: pages that are
/// missing stay so as long as the userfaultfd is open. One thread at a time.
class GuestPlacement final : public PagePlacement {
 public:
  /// Errors name the region and the remedy: kInvalidArgument (not the file's mapping, a file that is too short or on a
  /// file system without userfaultfd), kPermissionDenied (read-only file), kResourceExhausted (memory, tmpfs space,
  /// huge pages, registration limits). The guest's mapping is not touched.
  /// `layout` is that of `memory`.
  static absl::StatusOr<std::unique_ptr<GuestPlacement>> Create(const GuestMemory& memory, const PageLayout& layout,
                                                                Transport& transport,
                                                                const GuestPlacementOptions& options);

  /// The first part of Create, for which no transport is needed. Errors as there.
  static absl::StatusOr<std::unique_ptr<GuestPlacement>> Open(const GuestMemory& memory, const PageLayout& layout,
                                                              bool collapse_huge_pages);
  /// Before the rest of it: populates all of every file, holes included. A guest in another process has armed its
  /// memory and has not begun. Uses threads, progress and hint of `options`. Errors as those of Create.
  absl::Status PopulateEarly(const GuestPlacementOptions& options);
  /// The rest, `options.collapse_huge_pages` being as it was for Open. Of what was populated early, what need not be is
  /// given back.
  absl::Status SetUp(Transport& transport, const GuestPlacementOptions& options);
  ~GuestPlacement() override;

  /// The features to open a Userfaultfd with for this memory.
  std::uint64_t required_features() const;

  /// Takes every page out of the guest's mapping (private anonymous memory loses its contents) and arms it. `uffd`
  /// outlives the placement or its Disarm.
  absl::Status Arm(Userfaultfd& uffd);

  /// The memory is ordinary memory again; every waiter is woken. `holes` are the pages that were never mapped: they
  /// read as zeros from now on, whatever may have landed in their frames.
  absl::Status Disarm(std::span<const PageRun> holes = {});
  /// The guest was not started by this session: the same, but memory that another process has armed, or whose guest
  /// may run already, stays armed.
  absl::Status DisarmUnused();

  /// Of an external guest, when it was armed: pages that were mapped there already and are the guest's own.
  std::span<const PageRun> mapped_before() const { return mapped_before_; }
  /// Whether pages can come before the switchover: what of them would be stale must not be seen.
  bool takes_prepaged(PageIndex page) const { return external_ == nullptr || direct(page); }
  const GuestProcess* process() const { return external_ == nullptr ? nullptr : &external_->process; }

  /// After Disarm: gives the next 2 MiB that are not on a huge page yet to the kernel. False: there are none left.
  bool CollapseSome();

  /// Where pages are placed directly, with the peer's keys.
  std::vector<Extent> frames() const;
  /// One ring per push channel, or none when no page is staged: for the peer, and for RunListReceiver.
  std::vector<RemoteMemory> staging_memory() const;
  std::vector<std::span<const std::byte>> staging() const;

  /// Takes the peer's right to write away, and unpins the memory. Nothing may be on its way any more.
  void RevokeFrames();

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
  const absl::Status& failure() const override { return failure_; }

 private:
  struct Place {
    Region region;
    PageRun pages;
    unsigned page_shift = 12;
    std::uint32_t chunk_pages = 0;
    std::byte* alias = nullptr;  // Null: private anonymous memory, all of it staged.
    bool has_zero_page = true;   // UFFDIO_ZEROPAGE works here.
    Mapping kept;                // Of staged pages that came before the switchover and are not mapped yet.
    Alias mapping;
    GuestAddresses addresses;
    std::vector<bool> huge_chunks;  // Chunks that lie on a huge folio and are not mapped by it yet.

    std::uint64_t Offset(PageIndex page) const { return (page - pages.first) << page_shift; }
    std::byte* Guest(PageIndex page) const { return addresses.At(page); }
  };

  struct External {
    ExternalGuest guest;
    GuestProcess process;
  };

  GuestPlacement(const GuestMemory& memory, const PageLayout& layout, bool collapse_huge_pages);

  absl::Status MapAliases();
  std::vector<PageRun> PlanFrames(const Transport& transport, std::span<const PageRun> holes) const;
  absl::Status PopulateAliases(std::span<const PageRun> runs, const GuestPlacementOptions& options) const;
  absl::Status GiveBack(std::span<const PageRun> runs) const;
  std::vector<PageRun> Files() const;
  /// Making them takes pages out of every mapping, which a guest that has begun would feel.
  bool makes_huge_folios() const { return collapse_huge_pages_ && !has_begun(); }
  /// Its pages may be mapped, and its own.
  bool has_begun() const { return external_ != nullptr && (external_->guest.running || external_->guest.taken_over); }
  void FindHugeChunks(std::span<const PageRun> populated, const std::function<void(std::string hint)>& hint);
  absl::Status RegisterFrames(Transport& transport, std::vector<PageRun> runs, const GuestPlacementOptions& options);
  absl::Status RegisterRings(Transport& transport, const GuestPlacementOptions& options);
  absl::Status ArmPlace(Place& place);
  absl::Status ArmExternal(Place& place);
  absl::Status FindMappedBefore(const Place& place);
  /// Populating may take pages out of the guest's mapping, so that arming finds no more what was there too early.
  absl::Status CheckUnmapped();
  static absl::Status Annotate(const Place& place, const absl::Status& status);
  /// Unregistering would wake the guest, and make zeros of what is missing: it may run already, or somebody else has
  /// registered the memory.
  bool KeepsArmed() const;
  void WakeAll(const Place& place);
  absl::Status Unregister(const Place& place);
  absl::Status EmptyFrames(PageRun run) const;
  std::optional<PageRun> NextSmallChunk();
  bool CollapseGuest(PageIndex first) const;

  const Place& PlaceOf(PageIndex page) const { return places_[layout_.RegionOf(page)]; }
  absl::Status MakeRoomToKeep(Place& place);
  template <typename MapRange>
  MapResult MapRun(const Place& place, PageRun run, MapRange map_range);
  template <typename MapRange>
  MapResult MapPart(const Place& place, PageRun part, std::byte* start, MapRange map_range);
  MapResult MapKept(const Place& place, PageRun run);
  MapResult MapByAlias(const Place& place, PageRun run, const std::byte* source);
  MapResult ZeroPages(const Place& place, PageRun run);
  UffdResult ContinueWithNewFrame(const Place& place, PageIndex page, std::byte* guest);
  MapResult Stopped(const Place& place, PageRun run, const UffdResult& result, std::uint64_t bytes_done);

  PageLayout layout_;
  std::vector<Place> places_;  // One per region.
  ExtentTable frames_;         // With this side's keys.
  RegisteredExtents registered_frames_;
  std::unique_ptr<External> external_;
  std::vector<PageRun> mapped_before_;
  Userfaultfd* uffd_ = nullptr;
  absl::Status failure_;

  std::uint64_t largest_staged_page_ = 0;  // 0: no page is staged.
  Mapping demand_memory_;                  // One largest_staged_page_ per demand slot.
  std::unique_ptr<RegisteredMemory> demand_frames_;
  Mapping ring_memory_;
  std::vector<std::unique_ptr<RegisteredMemory>> rings_;
  Mapping huge_zeros_;  // What UFFDIO_COPY takes zeros from where there is no UFFDIO_ZEROPAGE.

  bool collapse_huge_pages_;
  bool populated_early_ = false;
  std::size_t collapse_place_ = 0;  // How far CollapseSome has come.
  std::uint64_t collapse_offset_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_GUEST_PLACEMENT_H_
