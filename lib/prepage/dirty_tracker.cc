#include "lib/prepage/dirty_tracker.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "lib/prepage/region_pages.h"

namespace farfault {
namespace {

// <linux/userfaultfd.h> has these since Linux 6.4 and 6.7; the headers that we are built with may be older.
constexpr std::uint64_t kFeatureWpUnpopulated = 1u << 13;
constexpr std::uint64_t kFeatureWpAsync = 1u << 15;

constexpr std::uint64_t kFeatures = UFFD_FEATURE_WP_HUGETLBFS_SHMEM | kFeatureWpUnpopulated | kFeatureWpAsync;

// A process whose userfaultfd has them waits in its own system calls until somebody has read them.
constexpr std::uint64_t kEvents =
    UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;

constexpr std::uint64_t kProtectSlice = 64u << 20;
// One after the other without a page protected: the kernel says EAGAIN while mappings change (ioctl_userfaultfd(2)).
constexpr int kMostRetries = 100'000;

// The page is not write-protected: it was written, or its entry is gone and with it the mark.
constexpr Pagemap::Query kWrittenAndProtect{.all_of = Pagemap::kWritten, .protect_again = true};
constexpr Pagemap::Query kWritten{.all_of = Pagemap::kWritten};
constexpr Pagemap::Query kNoEntry{.none_of = Pagemap::kPresent | Pagemap::kSwapped};

Pagemap::AddressRange RangeOf(const Region& region) {
  const auto base = reinterpret_cast<std::uint64_t>(region.base);
  return {base, base + region.length};
}

// Calls visit(run) for stretches of `pages` that hold all set bits, bridging small gaps to save system calls.
template <typename Visit>
absl::Status ForEachStretch(const PageBitmap& set, PageRun pages, Visit visit) {
  constexpr std::uint64_t kGap = 512;
  for (PageRun run = set.NextSet(pages.first, pages.end()); run.count > 0;) {
    PageRun next = set.NextSet(run.end(), pages.end());
    while (next.count > 0 && next.first - run.end() <= kGap) {
      run.count = next.end() - run.first;
      next = set.NextSet(run.end(), pages.end());
    }
    if (absl::Status status = visit(run); !status.ok()) return status;
    run = next;
  }
  return absl::OkStatus();
}

void AppendSetPages(const PageBitmap& set, PageRun within, std::vector<PageRun>* out) {
  for (PageRun run = set.NextSet(within.first, within.end()); run.count > 0;
       run = set.NextSet(run.end(), within.end())) {
    out->push_back(run);
  }
}

// Appends the pages of `run`, none of which is mapped, that the file does not hold in memory either: discarded, or
// (rarely) swapped out. For hugetlbfs mincore looks at the mapping only, so all of them count as discarded.
absl::Status AppendNotInFile(const RegionPages& region, PageRun run, std::vector<PageRun>* out) {
  std::array<unsigned char, 4096> resident;
  const std::uint64_t units = region.region().page_size / kSmallPage;
  const std::uint64_t most = resident.size() / units;
  for (; run.count > 0;) {
    const PageRun slice{run.first, std::min(run.count, most)};
    const auto [begin, end] = region.Addresses(slice);
    if (mincore(reinterpret_cast<void*>(begin), end - begin, resident.data()) != 0) {
      return absl::ErrnoToStatus(errno, fmt::format("mincore on [{:#x}, {:#x})", begin, end));
    }
    for (std::uint64_t i = 0; i < slice.count; ++i) {
      if ((resident[i * units] & 1) == 0) out->push_back({slice.first + i, 1});
    }
    run = {slice.end(), run.count - slice.count};
  }
  return absl::OkStatus();
}

}  // namespace

DirtyTracker::DirtyTracker(const GuestMemory& memory, const GuestMemory& view, Pagemap pagemap, Userfaultfd userfaultfd)
    : memory_(memory),
      view_(view),
      process_(memory.external() == nullptr ? 0 : memory.external()->pid),
      pagemap_(std::move(pagemap)),
      userfaultfd_(std::move(userfaultfd)) {}

absl::Status DirtyTracker::CheckSupported() { return Create(GuestMemory()).status(); }

absl::StatusOr<std::unique_ptr<DirtyTracker>> DirtyTracker::Create(const GuestMemory& memory) {
  absl::StatusOr<Pagemap> pagemap = Pagemap::OpenSelf();
  if (!pagemap.ok()) return pagemap.status();
  // The kernel answers asynchronous protection by itself, so faults inside system calls are served as well, and the
  // scope that needs no privilege will do.
  absl::StatusOr<Userfaultfd> userfaultfd = Userfaultfd::Open(kFeatures, Userfaultfd::Scope::kUserFaultsOnly);
  if (!userfaultfd.ok()) {
    return absl::Status(userfaultfd.status().code(),
                        fmt::format("cannot track what the guest writes: {}; dirty tracking needs Linux 6.7. Bring a "
                                    "dirty bitmap instead (track_dirty = false and dirty_log)",
                                    std::string(userfaultfd.status().message())));
  }
  return std::unique_ptr<DirtyTracker>(new DirtyTracker(memory, memory, *std::move(pagemap), *std::move(userfaultfd)));
}

absl::StatusOr<std::unique_ptr<DirtyTracker>> DirtyTracker::CreateExternal(const GuestMemory& external,
                                                                           const GuestMemory& view) {
  const ExternalGuest& guest = *external.external();
  if (const std::uint64_t events = guest.features & kEvents; events != 0) {
    return absl::InvalidArgumentError(fmt::format(
        "what the guest writes cannot be tracked: its userfaultfd was opened there with {}, and nobody reads such "
        "events at a source, for which the guest's own system calls would wait; open it without",
        UffdFeatureNames(events)));
  }
  if ((guest.features & kFeatures) != kFeatures) {
    return absl::InvalidArgumentError(fmt::format(
        "what the guest writes cannot be tracked: its userfaultfd must be opened there with {} as well (Linux 6.7)",
        UffdFeatureNames(kFeatures & ~guest.features)));
  }
  absl::StatusOr<Pagemap> pagemap = Pagemap::Open(guest.pid);
  if (!pagemap.ok()) return pagemap.status();
  absl::StatusOr<Userfaultfd> userfaultfd = Userfaultfd::AdoptDuplicate(guest.userfaultfd, guest.features);
  if (!userfaultfd.ok()) return userfaultfd.status();
  return std::unique_ptr<DirtyTracker>(new DirtyTracker(external, view, *std::move(pagemap), *std::move(userfaultfd)));
}

// The page tables of a process that is gone look like those of one that writes nothing.
absl::Status DirtyTracker::CheckAlive() const { return process_.exited() ? GuestProcess::Gone() : absl::OkStatus(); }

DirtyTracker::~DirtyTracker() {
  // Closing the descriptor takes away what this could not.
  static_cast<void>(Stop());
}

absl::Status DirtyTracker::Protect(const Region& region, Pagemap::AddressRange range) const {
  int fruitless = 0;
  for (std::uint64_t at = range.begin; at < range.end;) {
    const std::uint64_t length = std::min(kProtectSlice, range.end - at);
    const UffdResult result = userfaultfd_.WriteProtect(reinterpret_cast<std::byte*>(at), length, true);
    fruitless = result.bytes_done == 0 ? fruitless + 1 : 0;
    if (fruitless > kMostRetries) {
      return absl::AbortedError(
          fmt::format("region '{}': [{:#x}, {:#x}) cannot be write-protected while its process changes its mappings",
                      region.name, at, at + length));
    }
    if (fruitless > 0) sched_yield();
    if (result.status != UffdStatus::kDone && result.status != UffdStatus::kRetry) {
      return absl::ErrnoToStatus(
          result.error, fmt::format("region '{}': write-protecting [{:#x}, {:#x})", region.name, at, at + length));
    }
    at += result.bytes_done;
  }
  return absl::OkStatus();
}

absl::Status DirtyTracker::Start() {
  if (armed_regions_ > 0) return absl::FailedPreconditionError("dirty tracking has been started already");
  for (const Region& region : memory_.regions()) {
    absl::Status status;
    if (registers()) status = userfaultfd_.Register(region.base, region.length, UFFDIO_REGISTER_MODE_WP).status();
    if (status.ok()) {
      ++armed_regions_;
      status = Protect(region, RangeOf(region));
    }
    if (status.ok()) status = CheckAlive();
    if (!status.ok()) {
      static_cast<void>(Stop());
      return absl::Status(status.code(), fmt::format("cannot track what is written to region '{}': {}", region.name,
                                                     std::string(status.message())));
    }
  }
  return absl::OkStatus();
}

absl::Status DirtyTracker::Stop() {
  absl::Status first_error;
  for (; armed_regions_ > 0; --armed_regions_) {
    const Region& region = memory_.regions()[armed_regions_ - 1];
    if (registers()) {
      first_error.Update(userfaultfd_.Unregister(region.base, region.length));
    } else if (userfaultfd_.WriteProtect(region.base, region.length, false).status == UffdStatus::kFailed) {
      first_error.Update(absl::InternalError(fmt::format("region '{}' stays write-protected", region.name)));
    }
  }
  // What has ended tracks nothing any more.
  return process_.exited() ? absl::OkStatus() : first_error;
}

absl::Status DirtyTracker::CollectRegion(std::size_t index, std::vector<PageRun>* dirty) const {
  const RegionPages region(memory_, index);
  const std::size_t from = dirty->size();
  const auto append = [&](Pagemap::AddressRange range) { AppendRun(region.Pages(range), from, dirty); };
  // On hugetlbfs the scan's own protection can deadlock on a hole and lose a mark (fixed in the kernel only lately), so
  // the pages are protected after they have been reported: their bytes are read later still.
  const bool protects = !region.huge();
  absl::Status status = pagemap_.Scan(region.Addresses(), protects ? kWrittenAndProtect : kWritten, append);
  if (!status.ok()) return region.Annotate(status);
  const std::size_t without_entry = dirty->size();
  // Pages whose entries are gone, and their marks with them. The scan for written pages passes over them on hugetlbfs,
  // and on some kernels where a whole page table became empty and was freed.
  status = pagemap_.Scan(region.Addresses(), kNoEntry,
                         [&](Pagemap::AddressRange range) { dirty->push_back(region.Pages(range)); });
  if (!status.ok()) return region.Annotate(status);
  for (std::size_t i = protects ? without_entry : from; i < dirty->size(); ++i) {
    if (status = Protect(region.region(), region.Addresses((*dirty)[i])); !status.ok()) return status;
  }
  SortAndUnite(dirty, from);
  return absl::OkStatus();
}

absl::Status DirtyTracker::Collect(std::vector<PageRun>* dirty) {
  if (armed_regions_ == 0) return absl::FailedPreconditionError("dirty tracking has not been started");
  for (std::size_t i = 0; i < memory_.regions().size(); ++i) {
    absl::Status status = CollectRegion(i, dirty);
    if (!status.ok() && CheckAlive().ok()) return status;
  }
  return CheckAlive();
}

absl::Status DirtyTracker::CollectSent(std::size_t index, const PageBitmap& sent, std::vector<PageRun>* dirty) const {
  const RegionPages region(memory_, index);
  const std::size_t from = dirty->size();
  std::vector<PageRun> unmapped;
  const auto note = [&](Pagemap::AddressRange range, std::uint64_t categories) {
    // Without an entry there is no mark either.
    const bool no_entry = (categories & (Pagemap::kPresent | Pagemap::kSwapped)) == 0;
    if ((categories & Pagemap::kWritten) != 0 || no_entry) {
      AppendSetPages(sent, region.Pages(range), dirty);
    } else if (region.file_backed()) {
      AppendSetPages(sent, region.Pages(range), &unmapped);
    }
  };
  // The guest stands still: one walk, for everything that is of interest.
  absl::Status status = ForEachStretch(sent, region.pages(), [&](PageRun stretch) {
    return pagemap_.ScanWrittenOrAbsent(region.Addresses(stretch), note);
  });
  for (const PageRun& run : unmapped) {
    if (status.ok()) status = AppendNotInFile(RegionPages(view_, index), run, dirty);
  }
  SortAndUnite(dirty, from);
  return region.Annotate(status);
}

absl::Status DirtyTracker::CollectLast(const PageBitmap& sent, std::vector<PageRun>* dirty) {
  if (armed_regions_ == 0) return absl::FailedPreconditionError("dirty tracking has not been started");
  if (sent.size() != memory_.total_pages()) {
    return absl::InvalidArgumentError(
        fmt::format("a bitmap of {} pages for memory of {}", sent.size(), memory_.total_pages()));
  }
  for (std::size_t i = 0; i < memory_.regions().size(); ++i) {
    absl::Status status = CollectSent(i, sent, dirty);
    if (!status.ok() && CheckAlive().ok()) return status;
  }
  return CheckAlive();
}

}  // namespace farfault
