#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/page/extent_plan.h"
#include "lib/page/guest_mapping.h"
#include "lib/page/guest_placement.h"
#include "lib/util/madvise.h"

namespace farfault {
namespace {

constexpr std::uint64_t Operation(unsigned number) { return std::uint64_t{1} << number; }

}  // namespace

GuestPlacement::GuestPlacement(const GuestMemory& memory, const PageLayout& layout, bool collapse_huge_pages)
    : layout_(layout), frames_(layout), collapse_huge_pages_(collapse_huge_pages) {
  if (memory.external() != nullptr) {
    external_ = std::make_unique<External>(*memory.external(), GuestProcess(memory.external()->pid));
  }
  for (std::size_t i = 0; i < memory.regions().size(); ++i) {
    const Region& region = memory.regions()[i];
    Place& place = places_.emplace_back();
    place.region = region;
    place.pages = layout.regions()[i].pages;
    place.page_shift = static_cast<unsigned>(std::countr_zero(region.page_size));
    place.addresses = GuestAddresses(place.pages, memory.mappings_of(i), place.page_shift);
    place.has_zero_page = region.page_size == kSmallPage;
  }
}

GuestPlacement::~GuestPlacement() = default;

absl::StatusOr<std::unique_ptr<GuestPlacement>> GuestPlacement::Create(const GuestMemory& memory,
                                                                       const PageLayout& layout, Transport& transport,
                                                                       const GuestPlacementOptions& options) {
  auto placement = Open(memory, layout, options.collapse_huge_pages);
  if (!placement.ok()) return placement.status();
  if (absl::Status status = (*placement)->SetUp(transport, options); !status.ok()) return status;
  return placement;
}

absl::StatusOr<std::unique_ptr<GuestPlacement>> GuestPlacement::Open(const GuestMemory& memory,
                                                                     const PageLayout& layout,
                                                                     bool collapse_huge_pages) {
  if (absl::Status status = CheckGuestMappings(memory); !status.ok()) return status;
  std::unique_ptr<GuestPlacement> placement(new GuestPlacement(memory, layout, collapse_huge_pages));
  if (absl::Status status = placement->MapAliases(); !status.ok()) return status;
  if (absl::Status status = placement->CheckUnmapped(); !status.ok()) return status;
  return placement;
}

absl::Status GuestPlacement::PopulateEarly(const GuestPlacementOptions& options) {
  const std::vector<PageRun> files = Files();
  if (absl::Status status = PopulateAliases(files, options); !status.ok()) return status;
  if (collapse_huge_pages_) FindHugeChunks(files, makes_huge_folios() ? options.hint : nullptr);
  populated_early_ = true;
  return absl::OkStatus();
}

absl::Status GuestPlacement::SetUp(Transport& transport, const GuestPlacementOptions& options) {
  std::vector<PageRun> holes(options.holes.begin(), options.holes.end());
  std::sort(holes.begin(), holes.end(), [](const PageRun& a, const PageRun& b) { return a.first < b.first; });
  std::vector<PageRun> frames = PlanFrames(transport, holes);
  // A guest in another process may be larger than what there is room for, as long as most of it are holes.
  const bool sparse = external_ != nullptr && !transport.pins_memory();
  const std::vector<PageRun> populated = sparse ? WithoutHoles(frames, holes) : frames;
  absl::Status status =
      populated_early_ ? GiveBack(WithoutHoles(Files(), populated)) : PopulateAliases(populated, options);
  if (!status.ok()) return status;
  const bool hints = makes_huge_folios() && !populated_early_;
  if (collapse_huge_pages_) FindHugeChunks(populated, hints ? options.hint : nullptr);
  if (status = RegisterFrames(transport, std::move(frames), options); !status.ok()) return status;
  return RegisterRings(transport, options);
}

std::vector<PageRun> GuestPlacement::Files() const {
  std::vector<PageRun> files;
  for (const Place& place : places_) {
    if (place.alias != nullptr) files.push_back(place.pages);
  }
  return files;
}

// Before anything is armed: later somebody could wait for it. Huge pages of hugetlbfs stay, for with its page a hole
// would lose its reservation.
absl::Status GuestPlacement::GiveBack(std::span<const PageRun> runs) const {
  for (const PageRun& run : runs) {
    if (PlaceOf(run.first).region.page_size == kHugePage) continue;
    if (absl::Status emptied = EmptyFrames(run); !emptied.ok()) return emptied;
  }
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
    for (const Place* armed = places_.data(); !KeepsArmed() && armed != &place; ++armed) {
      static_cast<void>(Unregister(*armed));
    }
    uffd_ = nullptr;
    return Annotate(place, status);
  }
  return absl::OkStatus();
}

absl::Status GuestPlacement::Annotate(const Place& place, const absl::Status& status) {
  return absl::Status(status.code(), fmt::format("region '{}': {}", place.region.name, std::string(status.message())));
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
  for (Place& place : places_) {
    result.Update(Unregister(place));
    place.kept = Mapping();
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

}  // namespace farfault
