#include "lib/prepage/holes.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "lib/prepage/pagemap.h"
#include "lib/prepage/region_pages.h"

namespace farfault {
namespace {

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

// hugetlbfs calls everything data. But where as many pages are mapped here as the file has, the rest are holes.
absl::Status HugeFileHoles(const RegionPages& region, const Pagemap& pagemap, PageRun within,
                           std::vector<PageRun>* holes) {
  struct stat file = {};
  if (fstat(region.region().fd, &file) != 0) return absl::ErrnoToStatus(errno, "fstat");
  const auto allocated = static_cast<std::uint64_t>(file.st_blocks) * 512 / region.region().page_size;
  std::uint64_t mapped = region.pages().count;
  const std::size_t from = holes->size();
  const absl::Status status =
      pagemap.Scan(region.Addresses(), {.none_of = Pagemap::kPresent}, [&](Pagemap::AddressRange range) {
        const PageRun run = region.Pages(range);
        mapped -= run.count;
        const PageIndex first = std::max(run.first, within.first);
        const PageIndex end = std::min(run.end(), within.end());
        if (first < end) AppendRun({first, end - first}, from, holes);
      });
  if (mapped != allocated) holes->resize(from);
  return status;
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

absl::StatusOr<std::vector<PageRun>> FindHoles(const GuestMemory& memory) {
  std::vector<PageRun> everything;
  for (std::size_t i = 0; i < memory.regions().size(); ++i) everything.push_back(memory.pages_of(i));
  return FindHolesIn(memory, everything);
}

absl::StatusOr<std::vector<PageRun>> FindHolesIn(const GuestMemory& memory, std::span<const PageRun> stretches) {
  std::vector<PageRun> holes;
  std::optional<Pagemap> pagemap;
  std::size_t index = 0;
  for (const PageRun& within : stretches) {
    while (within.first >= memory.pages_of(index).end()) ++index;
    const RegionPages region(memory, index);
    const bool by_file = region.file_backed() && !region.huge();
    if (!by_file && !pagemap) {
      absl::StatusOr<Pagemap> opened = Pagemap::OpenSelf();
      // An older kernel: everything counts as populated.
      if (opened.ok()) pagemap.emplace(*std::move(opened));
    }
    absl::Status status;
    if (by_file) {
      status = FileHoles(region, within, &holes);
    } else if (pagemap) {
      status = region.file_backed() ? HugeFileHoles(region, *pagemap, within, &holes)
                                    : AnonymousHoles(region, *pagemap, within, &holes);
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
