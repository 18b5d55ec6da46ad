#include "lib/prepage/holes.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/page/guest_mapping.h"
#include "lib/prepage/pagemap.h"
#include "lib/prepage/region_pages.h"

namespace farfault {
namespace {

// A scan takes microseconds and clearing a huge page much longer, so that few looks are spoilt. But a thread of the
// guest that loses its processor in the middle of a fault spoils them until it has it again.
constexpr int kLooks = 8;
constexpr absl::Duration kFirstPause =
    absl::Milliseconds(1);  // Then twice as long each time: an eighth of a second in all.

// lseek moves the offset that all users of the file description share.
class OffsetKeeper {
 public:
  explicit OffsetKeeper(int fd) : fd_(fd), offset_(lseek(fd, 0, SEEK_CUR)) {}
  OffsetKeeper(const OffsetKeeper&) = delete;
  OffsetKeeper& operator=(const OffsetKeeper&) = delete;
  ~OffsetKeeper() {
    if (offset_ >= 0) static_cast<void>(lseek(fd_, offset_, SEEK_SET));
  }

 private:
  int fd_;
  off_t offset_;
};

absl::StatusOr<std::uint64_t> Seek(int fd, std::uint64_t offset, int whence, std::uint64_t end) {
  const off_t found = lseek(fd, static_cast<off_t>(offset), whence);
  if (found >= 0) return std::min(static_cast<std::uint64_t>(found), end);
  // No data behind here: the rest, also what lies behind the end of the file, is a hole.
  if (errno == ENXIO) return whence == SEEK_DATA ? end : offset;
  return absl::ErrnoToStatus(errno, fmt::format("lseek for {} at {}", whence == SEEK_DATA ? "data" : "a hole", offset));
}

absl::Status FileHoles(const RegionPages& region, PageRun within, std::vector<PageRun>* holes) {
  const int fd = region.region().fd;
  const std::uint64_t page_size = region.region().page_size;
  const std::uint64_t begin = region.region().file_offset;
  const std::uint64_t end = begin + (within.end() - region.pages().first) * page_size;
  const OffsetKeeper keeper(fd);
  for (std::uint64_t at = begin + (within.first - region.pages().first) * page_size; at < end;) {
    const absl::StatusOr<std::uint64_t> hole = Seek(fd, at, SEEK_HOLE, end);
    if (!hole.ok()) return hole.status();
    const absl::StatusOr<std::uint64_t> data = Seek(fd, *hole, SEEK_DATA, end);
    if (!data.ok()) return data.status();
    const PageIndex first = (*hole - begin + page_size - 1) / page_size;
    const PageIndex last = (*data - begin) / page_size;
    if (first < last) holes->push_back({region.pages().first + first, last - first});
    at = *data;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::uint64_t> AllocatedPages(const Region& region) {
  struct stat file = {};
  if (fstat(region.fd, &file) != 0) return absl::ErrnoToStatus(errno, "fstat");
  return static_cast<std::uint64_t>(file.st_blocks) * 512 / region.page_size;
}

// Appends what of `within` is not mapped here, and counts what of the region is.
absl::StatusOr<std::uint64_t> FindUnmapped(const RegionPages& region, const Pagemap& pagemap,
                                           std::span<const PageRun> within, std::vector<PageRun>* unmapped) {
  std::uint64_t mapped = region.pages().count;
  auto stretch = within.begin();
  const auto note = [&](Pagemap::AddressRange range) {
    const PageRun run = region.Pages(range);
    mapped -= run.count;
    while (stretch != within.end() && stretch->end() <= run.first) ++stretch;
    for (auto hit = stretch; hit != within.end() && hit->first < run.end(); ++hit) {
      const PageIndex first = std::max(run.first, hit->first);
      unmapped->push_back({first, std::min(run.end(), hit->end()) - first});
    }
  };
  absl::Status status = pagemap.Scan(region.Addresses(), {.none_of = Pagemap::kPresent}, note);
  if (!status.ok()) return status;
  return mapped;
}

// hugetlbfs calls everything data. But where as many pages are mapped here as the file has, the rest are holes. A page
// that the guest populates meanwhile spoils the comparison, so it is made again.
absl::Status HugeFileHoles(const RegionPages& region, const Pagemap& pagemap, std::span<const PageRun> within,
                           WhileItGrows while_it_grows, std::vector<PageRun>* holes) {
  const std::size_t from = holes->size();
  bool grows = false;
  absl::Duration pause = kFirstPause;
  for (int look = 0; look < kLooks; ++look) {
    // Who asks for data may have stopped the guest.
    if (look > 0 && while_it_grows == WhileItGrows::kHoles) absl::SleepFor(std::exchange(pause, 2 * pause));
    holes->resize(from);
    const absl::StatusOr<std::uint64_t> before = AllocatedPages(region.region());
    if (!before.ok()) return before.status();
    const absl::StatusOr<std::uint64_t> mapped = FindUnmapped(region, pagemap, within, holes);
    if (!mapped.ok()) return mapped.status();
    const absl::StatusOr<std::uint64_t> after = AllocatedPages(region.region());
    if (!after.ok()) return after.status();
    if (*before == *after && *mapped == *after) {
      SortAndUnite(holes, from);
      return absl::OkStatus();
    }
    grows = grows || *before != *after;
  }
  // Where the file has stayed as it is, somebody else has populated pages of it.
  if (!grows || while_it_grows == WhileItGrows::kData) holes->resize(from);
  return absl::OkStatus();
}

absl::Status AnonymousHoles(const RegionPages& region, const Pagemap& pagemap, PageRun within,
                            std::vector<PageRun>* holes) {
  const std::size_t from = holes->size();
  const auto append = [&](Pagemap::AddressRange range) { holes->push_back(region.Pages(range)); };
  const Pagemap::AddressRange range = region.Addresses(within);
  absl::Status status = pagemap.Scan(range, {.none_of = Pagemap::kPresent | Pagemap::kSwapped}, append);
  // Read, but never written.
  if (status.ok()) status = pagemap.Scan(range, {.all_of = Pagemap::kZeroPage}, append);
  SortAndUnite(holes, from);
  return status;
}

}  // namespace

absl::StatusOr<std::vector<PageRun>> FindHoles(const GuestMemory& memory, WhileItGrows while_it_grows) {
  std::vector<PageRun> everything;
  for (std::size_t i = 0; i < memory.regions().size(); ++i) everything.push_back(memory.pages_of(i));
  return FindHolesIn(memory, everything, while_it_grows);
}

absl::StatusOr<std::vector<PageRun>> FindHolesIn(const GuestMemory& memory, std::span<const PageRun> stretches,
                                                 WhileItGrows while_it_grows) {
  std::vector<PageRun> holes;
  std::optional<Pagemap> pagemap;
  std::size_t index = 0;
  while (!stretches.empty()) {
    while (stretches.front().first >= memory.pages_of(index).end()) ++index;
    const RegionPages region(memory, index);
    const auto next = std::find_if(stretches.begin(), stretches.end(),
                                   [&](const PageRun& run) { return run.first >= region.pages().end(); });
    const auto within = stretches.first(static_cast<std::size_t>(next - stretches.begin()));
    stretches = stretches.subspan(within.size());
    const bool by_file = region.file_backed() && !region.huge();
    if (!by_file && !pagemap) {
      absl::StatusOr<Pagemap> opened = Pagemap::OpenSelf();
      // An older kernel: everything counts as populated.
      if (!opened.ok()) continue;
      pagemap.emplace(*std::move(opened));
    }
    absl::Status status;
    if (region.file_backed() && region.huge()) {
      status = HugeFileHoles(region, *pagemap, within, while_it_grows, &holes);
    } else {
      for (std::size_t i = 0; i < within.size() && status.ok(); ++i) {
        status = by_file ? FileHoles(region, within[i], &holes) : AnonymousHoles(region, *pagemap, within[i], &holes);
      }
      // Afterwards: bytes that were cut off meanwhile were taken for holes, and would arrive as zeros.
      if (by_file && status.ok()) status = CheckFileLengths({&region.region(), 1});
    }
    if (!status.ok()) return region.Annotate(status);
  }
  return holes;
}

absl::StatusOr<std::vector<PageRun>> FindLargeHoles(const GuestMemory& memory, std::uint64_t min_bytes) {
  absl::StatusOr<std::vector<PageRun>> holes = FindHoles(memory);
  if (!holes.ok()) return holes;
  std::size_t region = 0;
  std::erase_if(*holes, [&](const PageRun& hole) {
    while (hole.first >= memory.pages_of(region).end()) ++region;
    return hole.count * memory.regions()[region].page_size < min_bytes;
  });
  return holes;
}

}  // namespace farfault
