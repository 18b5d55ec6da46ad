#include "lib/page/guest_placement.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "lib/page/guest_mapping.h"
#include "lib/util/madvise.h"

namespace farfault {
namespace {

std::string_view Cause(int error) {
  switch (error) {
    case EEXIST:
      return "somebody else has put a page there: did the memory change hands before it was resident?";
    case EFAULT:
      return "a page is not in the file any more: was a hole punched into it, or the file truncated?";
    case ENOENT:
      return "the guest's mapping was unmapped, moved or registered elsewhere while the session needs it";
    case ENOMEM:
      return "the machine, or this process's control group, is out of memory";
    case EHWPOISON:
      return "the memory is broken";
    default:
      return "";
  }
}

// A plain access would be answered with SIGBUS where the file system is full.
int MakeWritable(std::byte* memory, std::uint64_t length) {
  while (madvise(memory, length, MADV_POPULATE_WRITE) != 0) {
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
  return 0;
}

}  // namespace

MapResult GuestPlacement::Stopped(const Place& place, PageRun run, const UffdResult& result, std::uint64_t bytes_done) {
  const std::uint64_t pages_done = bytes_done >> place.page_shift;
  if (result.status == UffdStatus::kRetry) return {MapStatus::kRetry, pages_done};
  if (result.status == UffdStatus::kGuestGone) return {MapStatus::kGuestGone, pages_done};
  if (failure_.ok()) {
    failure_ = absl::ErrnoToStatus(
        result.error, fmt::format("region '{}': userfaultfd cannot map the page at offset {:#x} ({})",
                                  place.region.name, place.Offset(run.first + pages_done), Cause(result.error)));
  }
  return {MapStatus::kFailed, pages_done};
}

// Maps a run with `map_range(first byte of the guest, offset from the run's start, length)`, mapping by mapping.
template <typename MapRange>
MapResult GuestPlacement::MapRun(const Place& place, PageRun run, MapRange map_range) {
  // Disarming has woken everybody; a fault that was read before is answered by that.
  if (uffd_ == nullptr) return {MapStatus::kOk, run.count};
  MapResult all;
  while (all.status == MapStatus::kOk && all.pages_done < run.count) {
    const PageRun rest{run.first + all.pages_done, run.count - all.pages_done};
    const GuestAddresses::Part part = place.addresses.At(rest);
    const std::uint64_t before = all.pages_done << place.page_shift;
    const MapResult result = MapPart(place, {rest.first, part.pages}, part.address,
                                     [&](std::byte* guest, std::uint64_t offset, std::uint64_t length) {
                                       return map_range(guest, before + offset, length);
                                     });
    all = {result.status, all.pages_done + result.pages_done};
  }
  return all;
}

// Pages that are mapped already are passed over; the kernel does not wake who waits for them.
template <typename MapRange>
MapResult GuestPlacement::MapPart(const Place& place, PageRun part, std::byte* start, MapRange map_range) {
  const std::uint64_t length = part.count << place.page_shift;
  std::uint64_t done = 0;
  bool passed_over = false;
  UffdResult result;
  while (done < length && result.status == UffdStatus::kDone) {
    result = map_range(start + done, done, length - done);
    done += result.bytes_done;
    if (result.status != UffdStatus::kExists) continue;
    result.status = UffdStatus::kDone;
    done += place.region.page_size;
    passed_over = true;
  }
  if (passed_over) {
    const UffdResult woken = uffd_->Wake(start, done);
    if (woken.status != UffdStatus::kDone) return Stopped(place, part, woken, 0);
  }
  if (result.status != UffdStatus::kDone) return Stopped(place, part, result, done);
  return {MapStatus::kOk, part.count};
}

bool GuestPlacement::direct(PageIndex page) const { return frames_.Has(page); }

Frame GuestPlacement::DemandFrame(PageIndex page, std::uint32_t slot) {
  if (const Extent& extent = frames_.Of(page); extent.pages.count != 0) {
    const Place& place = PlaceOf(page);
    return {place.alias + place.Offset(page), extent.key};
  }
  return {demand_memory_.data() + slot * largest_staged_page_, demand_frames_->local_key()};
}

MapResult GuestPlacement::MapDemanded(PageIndex page, std::uint32_t slot) {
  if (direct(page)) return MapLanded({page, 1});
  return MapStaged({page, 1}, demand_memory_.data() + slot * largest_staged_page_);
}

MapResult GuestPlacement::MapLanded(PageRun run) {
  const Place& place = PlaceOf(run.first);
  if (place.alias == nullptr) return MapKept(place, run);
  return MapRun(place, run, [&](std::byte* guest, std::uint64_t offset, std::uint64_t length) {
    const UffdResult result = uffd_->Continue(guest, length);
    // The pager before this one was killed between entering a hole as landed and mapping zeros.
    const bool may_be_hole = external_ != nullptr && external_->guest.taken_over;
    if (result.error != EFAULT || !may_be_hole) return result;
    if (result.bytes_done > 0) return UffdResult{UffdStatus::kDone, 0, result.bytes_done};
    return ContinueWithNewFrame(place, run.first + (offset >> place.page_shift), guest);
  });
}

absl::Status GuestPlacement::MakeRoomToKeep(Place& place) {
  if (place.kept.size() > 0) return absl::OkStatus();
  const auto lacking = [&place](std::string_view why) {
    return absl::ResourceExhaustedError(fmt::format(
        "region '{}': {} bytes of address space, in which what is pre-paged waits, are lacking ({}); see ulimit -v and "
        "vm.overcommit_memory, or do not pre-page private memory",
        place.region.name, place.region.length, why));
  };
  const std::uint64_t length = place.region.length;
  auto kept = Mapping::Map({.length = length, .protection = PROT_NONE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
  if (!kept.ok()) return lacking(std::string(kept.status().message()));
  // A process that has locked all that it maps (mlockall) would have all of it populated. Huge pages would hold a page
  // that was given back as long as one beside it is kept.
  static_cast<void>(munlock(kept->data(), length));
  static_cast<void>(madvise(kept->data(), length, MADV_NOHUGEPAGE));
  if (mprotect(kept->data(), length, PROT_READ | PROT_WRITE) != 0) return lacking(std::strerror(errno));
  place.kept = *std::move(kept);
  return absl::OkStatus();
}

// In a file the bytes are at home, if not in the guest's mapping.
MapResult GuestPlacement::KeepStaged(PageRun run, const std::byte* source) {
  Place& place = places_[layout_.RegionOf(run.first)];
  if (place.alias == nullptr) {
    if (absl::Status room = MakeRoomToKeep(place); !room.ok()) {
      failure_.Update(room);
      return {MapStatus::kFailed, 0};
    }
  }
  std::byte* const memory = (place.alias != nullptr ? place.alias : place.kept.data()) + place.Offset(run.first);
  const std::uint64_t length = run.count << place.page_shift;
  if (const int error = MakeWritable(memory, length); error != 0) {
    failure_.Update(absl::ErrnoToStatus(
        error, fmt::format("region '{}': there is no memory in which the page at offset {:#x} could wait for the "
                           "switchover; pre-page less",
                           place.region.name, place.Offset(run.first))));
    return {MapStatus::kFailed, 0};
  }
  std::memcpy(memory, source, length);
  return {MapStatus::kOk, run.count};
}

MapResult GuestPlacement::MapKept(const Place& place, PageRun run) {
  if (place.kept.size() == 0) {
    failure_.Update(absl::InternalError(fmt::format("region '{}': no page of it is kept", place.region.name)));
    return {MapStatus::kFailed, 0};
  }
  return MapRun(place, run, [&](std::byte* guest, std::uint64_t offset, std::uint64_t length) {
    std::byte* const kept = place.kept.data() + place.Offset(run.first) + offset;
    UffdResult result = uffd_->Copy(guest, kept, length);
    if (result.status == UffdStatus::kExists) result.status = UffdStatus::kFailed;
    // Else it goes with the session.
    if (result.bytes_done > 0) DropPages(kept, result.bytes_done).IgnoreError();
    return result;
  });
}

MapResult GuestPlacement::MapStaged(PageRun run, const std::byte* source) {
  const Place& place = PlaceOf(run.first);
  if (place.alias != nullptr) return MapByAlias(place, run, source);
  return MapRun(place, run, [this, source](std::byte* guest, std::uint64_t offset, std::uint64_t length) {
    UffdResult result = uffd_->Copy(guest, source + offset, length);
    // What is there is not what the source sent. In another process it is the guest's own: of an earlier pager, or put
    // there by the hypervisor.
    if (result.status == UffdStatus::kExists && external_ == nullptr) result.status = UffdStatus::kFailed;
    return result;
  });
}

// The file may have the page already, on a huge folio of its neighbours', so that UFFDIO_COPY would be refused. The
// guest does not see it yet.
MapResult GuestPlacement::MapByAlias(const Place& place, PageRun run, const std::byte* source) {
  std::byte* const alias = place.alias + place.Offset(run.first);
  return MapRun(place, run, [&](std::byte* guest, std::uint64_t offset, std::uint64_t length) {
    if (const int error = MakeWritable(alias + offset, length); error != 0) {
      return UffdResult{UffdStatus::kFailed, error, 0};
    }
    std::memcpy(alias + offset, source + offset, length);
    UffdResult result = uffd_->Continue(guest, length);
    if (result.status == UffdStatus::kExists) result.status = UffdStatus::kFailed;
    return result;
  });
}

MapResult GuestPlacement::MapZeros(PageRun run) {
  const Place& place = PlaceOf(run.first);
  if (place.alias != nullptr || !place.has_zero_page) return ZeroPages(place, run);
  return MapRun(place, run, [this](std::byte* guest, std::uint64_t, std::uint64_t length) {
    return uffd_->ZeroPage(guest, length);
  });
}

// Where a page of zeros cannot simply be asked for: the file may have the page already, with bytes in it. The guest
// does not see them yet, so they may be overwritten.
MapResult GuestPlacement::ZeroPages(const Place& place, PageRun run) {
  return MapRun(place, run, [&](std::byte* guest, std::uint64_t offset, std::uint64_t length) {
    const std::uint64_t page_size = place.region.page_size;
    if (place.alias == nullptr) return uffd_->Copy(guest, huge_zeros_.data(), page_size);
    if (place.has_zero_page) {
      const UffdResult result = uffd_->ZeroPage(guest, length);
      if (result.status != UffdStatus::kExists) return result;
      if (result.bytes_done > 0) return UffdResult{UffdStatus::kDone, 0, result.bytes_done};
    }
    std::memset(place.alias + place.Offset(run.first) + offset, 0, page_size);
    return uffd_->Continue(guest, page_size);
  });
}

MapResult GuestPlacement::MapAgain(PageIndex page) {
  const Place& place = PlaceOf(page);
  if (place.alias == nullptr) return MapZeros({page, 1});
  return MapRun(place, {page, 1}, [&](std::byte* guest, std::uint64_t, std::uint64_t length) {
    const UffdResult result = uffd_->Continue(guest, length);
    // The guest has punched the page out of its file.
    return result.error == EFAULT ? ContinueWithNewFrame(place, page, guest) : result;
  });
}

// The file does not have the page. Through the alias it gets a new one, of zeros.
UffdResult GuestPlacement::ContinueWithNewFrame(const Place& place, PageIndex page, std::byte* guest) {
  const std::uint64_t page_size = place.region.page_size;
  if (madvise(place.alias + place.Offset(page), page_size, MADV_POPULATE_WRITE) != 0) {
    return {UffdStatus::kFailed, errno == ENOMEM ? ENOMEM : EFAULT, 0};
  }
  return uffd_->Continue(guest, page_size);
}

std::uint32_t GuestPlacement::chunk_pages(PageIndex page) const { return PlaceOf(page).chunk_pages; }

bool GuestPlacement::TryCollapse(PageRun chunk) {
  const Place& place = PlaceOf(chunk.first);
  // Without a huge folio the kernel would copy all of it first, while faults wait.
  if (!place.huge_chunks[place.Offset(chunk.first) / kHugePage]) return false;
  if (!CollapseGuest(chunk.first)) return false;
  return uffd_ == nullptr || uffd_->Wake(place.Guest(chunk.first), kHugePage).status == UffdStatus::kDone;
}

bool GuestPlacement::CollapseGuest(PageIndex first) const {
  const GuestAddresses::Part part = PlaceOf(first).addresses.At(PageRun{first, kHugePage / kSmallPage});
  const bool aligned = reinterpret_cast<std::uint64_t>(part.address) % kHugePage == 0;
  if (!aligned || part.pages < kHugePage / kSmallPage) return false;
  if (external_ != nullptr) return external_->process.Collapse(part.address, kHugePage);
  return madvise(part.address, kHugePage, MADV_COLLAPSE) == 0;
}

// Nothing is mapped yet.
bool GuestPlacement::Forget(PageRun run) {
  const Place& place = PlaceOf(run.first);
  if (place.alias != nullptr) return true;
  if (external_ != nullptr) return false;
  if (place.kept.size() == 0) return true;
  return DropPages(place.kept.data() + place.Offset(run.first), run.count << place.page_shift).ok();
}

}  // namespace farfault
