#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/page/guest_mapping.h"
#include "lib/page/guest_placement.h"
#include "lib/page/huge_page_hint.h"
#include "lib/page/populate.h"
#include "lib/util/madvise.h"

namespace farfault {
namespace {

constexpr std::uint64_t Operation(unsigned number) { return std::uint64_t{1} << number; }

// The parts of `pages` outside `holes`, which are sorted.
std::vector<PageRun> WithoutHoles(PageRun pages, std::span<const PageRun> holes) {
  std::vector<PageRun> parts;
  PageIndex at = pages.first;
  for (const PageRun& hole : holes) {
    if (hole.end() <= at || hole.first >= pages.end()) continue;
    if (hole.first > at) parts.push_back({at, hole.first - at});
    at = hole.end();
  }
  if (at < pages.end()) parts.push_back({at, pages.end() - at});
  return parts;
}

RemoteMemory ForPeer(const RegisteredMemory& memory) {
  return {.address = memory.remote_address(), .length = memory.bytes().size(), .key = memory.remote_key()};
}

absl::Status NoMemory(std::string_view what, std::uint64_t bytes, const absl::Status& status) {
  return absl::ResourceExhaustedError(
      fmt::format("{} bytes for {} cannot be mapped: {}", bytes, what, std::string(status.message())));
}

}  // namespace

GuestPlacement::GuestPlacement(const GuestMemory& memory, const PageLayout& layout,
                               const GuestPlacementOptions& options)
    : layout_(layout), collapse_huge_pages_(options.collapse_huge_pages) {
  if (memory.external() != nullptr) {
    external_.reset(new External{*memory.external(), GuestProcess(memory.external()->pid)});
  }
  for (std::size_t i = 0; i < memory.regions().size(); ++i) {
    const Region& region = memory.regions()[i];
    Place& place = places_.emplace_back();
    place.region = region;
    place.pages = layout.regions()[i].pages;
    place.page_shift = static_cast<unsigned>(std::countr_zero(region.page_size));
    place.addresses = GuestAddresses(place.pages, memory.mappings_of(i), place.page_shift);
    place.has_zero_page = region.page_size == kSmallPage;
    if (region.fd == -1) largest_staged_page_ = std::max(largest_staged_page_, region.page_size);
  }
}

GuestPlacement::~GuestPlacement() = default;

absl::StatusOr<std::unique_ptr<GuestPlacement>> GuestPlacement::Create(const GuestMemory& memory,
                                                                       const PageLayout& layout, Transport& transport,
                                                                       const GuestPlacementOptions& options) {
  if (absl::Status status = CheckGuestMappings(memory); !status.ok()) return status;
  std::unique_ptr<GuestPlacement> placement(new GuestPlacement(memory, layout, options));
  if (absl::Status status = placement->MapAliases(); !status.ok()) return status;
  if (absl::Status status = placement->PopulateAliases(options); !status.ok()) return status;
  if (absl::Status status = placement->RegisterFrames(transport); !status.ok()) return status;
  if (absl::Status status = placement->RegisterRings(transport, options); !status.ok()) return status;
  return placement;
}

absl::Status GuestPlacement::MapAliases() {
  for (Place& place : places_) {
    if (place.region.fd == -1) continue;
    auto alias = Alias::Map(place.region);
    if (!alias.ok()) return alias.status();
    place.mapping = *std::move(alias);
    place.alias = place.mapping.data();
  }
  return absl::OkStatus();
}

absl::Status GuestPlacement::PopulateAliases(const GuestPlacementOptions& options) {
  std::vector<PageRun> holes(options.holes.begin(), options.holes.end());
  std::sort(holes.begin(), holes.end(), [](const PageRun& a, const PageRun& b) { return a.first < b.first; });
  std::vector<PopulateRange> ranges;
  for (const Place& place : places_) {
    if (place.alias == nullptr) continue;
    for (const PageRun& run : WithoutHoles(place.pages, holes)) {
      ranges.push_back({&place.region,
                        {place.alias + place.Offset(run.first), run.count << place.page_shift},
                        collapse_huge_pages_ && place.region.page_size == kSmallPage});
    }
  }
  if (absl::Status status = Populate(ranges, options.threads, options.progress); !status.ok()) return status;
  if (!collapse_huge_pages_) return absl::OkStatus();
  for (Place& place : places_) {
    if (place.alias == nullptr) continue;
    place.huge_chunks = place.mapping.FindHugeChunks(place.region);
    if (std::count(place.huge_chunks.begin(), place.huge_chunks.end(), true) > 0) {
      place.chunk_pages = kHugePage / kSmallPage;
    }
    const bool whole = WithoutHoles(place.pages, holes) == std::vector<PageRun>{place.pages};
    if (!options.hint || !whole) continue;
    if (std::string hint = HugePageHint(place.region, place.huge_chunks); !hint.empty()) options.hint(std::move(hint));
  }
  return absl::OkStatus();
}

absl::Status GuestPlacement::RegisterFrames(Transport& transport) {
  for (Place& place : places_) {
    if (place.alias == nullptr) continue;
    auto frames = transport.Register(place.mapping.bytes(), RemoteAccess::kWrite);
    if (!frames.ok()) {
      return absl::Status(frames.status().code(),
                          fmt::format("region '{}': {}", place.region.name, std::string(frames.status().message())));
    }
    place.frames = *std::move(frames);
    place.local_key = place.frames->local_key();
  }
  return absl::OkStatus();
}

absl::Status GuestPlacement::RegisterRings(Transport& transport, const GuestPlacementOptions& options) {
  if (largest_staged_page_ == 0) return absl::OkStatus();
  const std::uint64_t page = largest_staged_page_;
  const std::uint64_t demand_bytes = options.demand_slots * page;
  auto demand_memory = Mapping::Anonymous(demand_bytes);
  if (!demand_memory.ok()) return NoMemory("demand reads", demand_bytes, demand_memory.status());
  demand_memory_ = *std::move(demand_memory);
  auto demand_frames = transport.Register(demand_memory_.bytes(), RemoteAccess::kNone);
  if (!demand_frames.ok()) return demand_frames.status();
  demand_frames_ = *std::move(demand_frames);

  const std::uint64_t ring_bytes = std::max<std::uint64_t>(1, (options.staging_bytes + page - 1) / page) * page;
  auto ring_memory = Mapping::Anonymous(ring_bytes * options.push_channels);
  if (!ring_memory.ok()) return NoMemory("staging rings", ring_bytes * options.push_channels, ring_memory.status());
  ring_memory_ = *std::move(ring_memory);
  for (std::size_t i = 0; i < options.push_channels; ++i) {
    auto ring = transport.Register(ring_memory_.bytes().subspan(i * ring_bytes, ring_bytes), RemoteAccess::kWrite);
    if (!ring.ok()) return ring.status();
    rings_.push_back(*std::move(ring));
  }
  if (page != kHugePage) return absl::OkStatus();
  // Never written, so that it costs no memory.
  auto zeros = Mapping::Anonymous(kHugePage);
  if (!zeros.ok()) return NoMemory("zeros", kHugePage, zeros.status());
  huge_zeros_ = *std::move(zeros);
  return absl::OkStatus();
}

std::uint64_t GuestPlacement::required_features() const {
  std::uint64_t features = 0;
  for (const Place& place : places_) {
    const bool huge = place.region.page_size == kHugePage;
    if (huge) features |= UFFD_FEATURE_MISSING_HUGETLBFS;
    if (place.alias == nullptr) continue;
    features |= huge ? UFFD_FEATURE_MINOR_HUGETLBFS : UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
  }
  return features;
}

absl::Status GuestPlacement::Arm(Userfaultfd& uffd) {
  uffd_ = &uffd;
  for (Place& place : places_) {
    absl::Status status = external_ == nullptr ? ArmPlace(place) : ArmExternal(place);
    if (status.ok()) continue;
    const bool mine = external_ == nullptr || !external_->guest.registered;
    for (const Place* armed = places_.data(); mine && armed != &place; ++armed) {
      static_cast<void>(Unregister(*armed));
    }
    uffd_ = nullptr;
    return absl::Status(status.code(),
                        fmt::format("region '{}': {}", place.region.name, std::string(status.message())));
  }
  return absl::OkStatus();
}

absl::Status GuestPlacement::ArmPlace(Place& place) {
  std::byte* const base = place.region.base;
  const std::uint64_t length = place.region.length;
  // A fault must not bring a huge page of zeros with it. Kernels without huge pages refuse the advice.
  if (place.alias == nullptr && place.region.page_size == kSmallPage) {
    static_cast<void>(madvise(base, length, MADV_NOHUGEPAGE));
  }
  // With remove events nobody would be there to read them once it is registered. Without them it comes afterwards: a
  // page that is touched in between would stay mapped and never fault.
  const bool reported = (uffd_->features() & UFFD_FEATURE_EVENT_REMOVE) != 0;
  if (reported) {
    if (absl::Status status = DropPages(base, length); !status.ok()) return status;
  }
  const std::uint64_t modes = UFFDIO_REGISTER_MODE_MISSING | (place.alias != nullptr ? UFFDIO_REGISTER_MODE_MINOR : 0);
  const auto operations = uffd_->Register(base, length, modes);
  if (!operations.ok()) return operations.status();
  const std::uint64_t needed = Operation(place.alias != nullptr ? _UFFDIO_CONTINUE : _UFFDIO_COPY);
  place.has_zero_page = (*operations & Operation(_UFFDIO_ZEROPAGE)) != 0;
  absl::Status status;
  if ((*operations & needed) == 0) {
    status = absl::UnimplementedError("this kernel can report its faults, but not answer them; Linux 5.14 is needed");
  } else if (!reported) {
    status = DropPages(base, length);
  }
  if (!status.ok()) static_cast<void>(uffd_->Unregister(base, length));
  return status;
}

// What landed in a frame that was forgotten, and what the file held before, is still there.
absl::Status GuestPlacement::EmptyFrames(PageRun run) const {
  const Place& place = PlaceOf(run.first);
  if (place.alias == nullptr) return absl::OkStatus();
  const auto offset = static_cast<off_t>(place.region.file_offset + place.Offset(run.first));
  const auto length = static_cast<off_t>(run.count << place.page_shift);
  if (fallocate(place.region.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  // A file that is sealed against new writers can't be punched, but this mapping is an old one.
  std::byte* const frames = place.alias + place.Offset(run.first);
  if (madvise(frames, static_cast<std::size_t>(length), MADV_POPULATE_WRITE) == 0) {
    std::memset(frames, 0, static_cast<std::size_t>(length));
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(
      error, fmt::format("region '{}': {} bytes at offset {:#x} of its file cannot be given back; they must be zeros",
                         place.region.name, length, offset));
}

absl::Status GuestPlacement::Disarm(std::span<const PageRun> holes) {
  absl::Status result;
  if (uffd_ == nullptr) return result;
  for (const PageRun& hole : holes) {
    if (absl::Status status = EmptyFrames(hole); !status.ok()) return status;
  }
  for (const Place& place : places_) {
    result.Update(Unregister(place));
    const bool was_small = external_ == nullptr && place.alias == nullptr && place.region.page_size == kSmallPage;
    if (collapse_huge_pages_ && was_small) {
      static_cast<void>(madvise(place.region.base, place.region.length, MADV_HUGEPAGE));
    }
  }
  uffd_ = nullptr;
  return result;
}

// The next 2 MiB that are not on a huge page, as far as we know.
std::optional<PageRun> GuestPlacement::NextSmallChunk() {
  constexpr std::uint64_t kChunkPages = kHugePage / kSmallPage;
  for (; collapse_place_ < places_.size(); ++collapse_place_, collapse_offset_ = 0) {
    const Place& place = places_[collapse_place_];
    if (place.region.page_size != kSmallPage || (place.alias != nullptr && place.chunk_pages == 0)) continue;
    if (external_ != nullptr && place.alias == nullptr) continue;
    const auto base = reinterpret_cast<std::uint64_t>(place.region.base);
    const std::uint64_t skip = (kHugePage - base % kHugePage) % kHugePage;
    const std::uint64_t offset = std::max(collapse_offset_, skip);
    if (offset + kHugePage > place.region.length) continue;
    collapse_offset_ = offset + kHugePage;
    return PageRun{place.pages.first + offset / kSmallPage, kChunkPages};
  }
  return std::nullopt;
}

bool GuestPlacement::CollapseSome() {
  if (!collapse_huge_pages_ || uffd_ != nullptr) return false;
  const std::optional<PageRun> chunk = NextSmallChunk();
  if (!chunk) return false;
  const Place& place = PlaceOf(chunk->first);
  // A chunk with holes would grow to its full size. Of a file any mapping tells.
  std::byte* const here = external_ == nullptr ? place.Guest(chunk->first) : place.alias + place.Offset(chunk->first);
  std::array<unsigned char, kHugePage / kSmallPage> resident{};
  if (mincore(here, kHugePage, resident.data()) == 0 &&
      std::all_of(resident.begin(), resident.end(), [](unsigned char page) { return (page & 1) != 0; })) {
    static_cast<void>(CollapseGuest(chunk->first));
  }
  return true;
}

std::vector<DestinationPeer::RegionFrames> GuestPlacement::region_frames() const {
  std::vector<DestinationPeer::RegionFrames> all;
  for (const Place& place : places_) {
    DestinationPeer::RegionFrames frames{.direct = place.alias != nullptr, .frames = {}};
    if (place.frames != nullptr) frames.frames = ForPeer(*place.frames);
    all.push_back(frames);
  }
  return all;
}

std::vector<RemoteMemory> GuestPlacement::staging_memory() const {
  std::vector<RemoteMemory> all;
  for (const auto& ring : rings_) all.push_back(ForPeer(*ring));
  return all;
}

std::vector<std::span<const std::byte>> GuestPlacement::staging() const {
  std::vector<std::span<const std::byte>> all;
  for (const auto& ring : rings_) all.emplace_back(ring->bytes());
  return all;
}

void GuestPlacement::RevokeFrames() {
  for (Place& place : places_) place.frames.reset();
  demand_frames_.reset();
  rings_.clear();
}

}  // namespace farfault
