#include "lib/page/populate.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "lib/util/madvise.h"
#include "lib/util/memory_budget.h"
#include "lib/util/parallel.h"
#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

// Large enough to make the call's own cost vanish, small enough to share the work out and to show progress.
constexpr std::uint64_t kPieceBytes = 16u << 20;

std::vector<PopulateRange> CutIntoPieces(const std::vector<PopulateRange>& ranges) {
  std::vector<PopulateRange> pieces;
  for (const PopulateRange& range : ranges) {
    std::span<std::byte> rest = range.memory;
    while (!rest.empty()) {
      // Cuts at multiples of the piece, so that no huge folio is split.
      const std::uint64_t into = reinterpret_cast<std::uint64_t>(rest.data()) % kPieceBytes;
      const std::size_t bytes = std::min<std::uint64_t>(rest.size(), kPieceBytes - into);
      PopulateRange& piece = pieces.emplace_back(range);
      piece.memory = rest.first(bytes);
      piece.file_offset += static_cast<std::uint64_t>(rest.data() - range.memory.data());
      rest = rest.subspan(bytes);
    }
  }
  return pieces;
}

// Lets the kernel read one byte of every page. A populated page may still cost a fault at its first access, one that
// the kernel does not see: hypervisors that shadow page tables take 5 µs, for accesses by user space and by the kernel
// apart. Better now than when bytes are received into the page.
void WarmUp(int scratch_file, std::span<std::byte> memory, std::uint64_t page_size) {
  std::array<iovec, 512> bytes;
  while (!memory.empty()) {
    std::size_t count = 0;
    for (; count < bytes.size() && !memory.empty(); ++count) {
      bytes[count] = {memory.data(), 1};
      memory = memory.subspan(std::min<std::uint64_t>(page_size, memory.size()));
    }
    // Only a matter of speed: nothing depends on it.
    if (pwritev(scratch_file, bytes.data(), static_cast<int>(count), 0) < 0) return;
  }
}

// The kernel collapses a chunk of which a page is present: it copies that page and clears the rest. While a mapping of
// the file reports missing pages it puts none into the file by itself (EBUSY), but does not mind pages that have been
// allocated and never been written; mapping each of them as well would take twice as long.
bool MakeCollapsible(const PopulateRange& piece, std::uint64_t at) {
  if (!piece.armed) return madvise(piece.memory.data() + at, kSmallPage, MADV_POPULATE_WRITE) == 0;
  return fallocate(piece.region->fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(piece.file_offset + at),
                   static_cast<off_t>(kHugePage)) == 0;
}

// Populates the memory in such a way that later calls find huge folios where the kernel can make some. Unlike
// MADV_HUGEPAGE, MADV_COLLAPSE (madvise(2), Linux 6.1) does not ask what shmem_enabled and the mount say, and files are
// not allowed huge pages by default.
void PopulateHuge(const PopulateRange& piece) {
  const std::span<std::byte> memory = piece.memory;
  const std::uint64_t skip = (kHugePage - reinterpret_cast<std::uint64_t>(memory.data()) % kHugePage) % kHugePage;
  for (std::uint64_t at = skip; at + kHugePage <= memory.size(); at += kHugePage) {
    const bool collapsed = MakeCollapsible(piece, at) && madvise(memory.data() + at, kHugePage, MADV_COLLAPSE) == 0;
    // Not one more chunk: it would fail again, and each attempt may have the kernel search and compact its memory.
    if (!collapsed && errno != EINTR && errno != EAGAIN) return;
  }
}

bool HasSizeLimit(const struct statfs& system) { return system.f_type == TMPFS_MAGIC && system.f_blocks != 0; }

// What may be lacking behind an ENOMEM, or an EFAULT, which is what the kernel says where a plain access gets SIGBUS.
absl::Status Lacking(const Region& region, int error, std::uint64_t done) {
  const std::string what = fmt::format("region '{}': its memory cannot be populated ({}) after {} MiB", region.name,
                                       std::strerror(error), done >> 20);
  if (error == EINVAL) return absl::UnimplementedError(what + "; MADV_POPULATE_WRITE needs Linux 5.14");
  if (region.page_size == kHugePage) {
    return absl::ResourceExhaustedError(
        fmt::format("{}; {} huge pages of 2 MiB are free; the region needs {} in all: sysctl -w vm.nr_hugepages=N",
                    what, FreeHugePages(), region.length / kHugePage));
  }
  struct statfs system = {};
  if (fstatfs(region.fd, &system) == 0 && HasSizeLimit(system)) {
    const std::uint64_t free = system.f_bavail * static_cast<std::uint64_t>(system.f_bsize);
    return absl::ResourceExhaustedError(
        fmt::format("{}; its tmpfs has {} bytes left: enlarge it with mount -o remount,size=…", what, free));
  }
  const MemoryBudget budget = AvailableMemory();
  return absl::ResourceExhaustedError(
      fmt::format("{}; {} MiB are left ({}): free some, raise the limit, or give the guest less memory", what,
                  budget.bytes >> 20, budget.limited_by));
}

// What the file holds already, whichever part of it that is.
std::uint64_t AllocatedBytes(const Region& region) {
  struct stat info = {};
  return fstat(region.fd, &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
}

// Finds out what can be known before the first page is taken: an overcommitted population ends with the OOM killer.
absl::Status CheckEnough(const std::vector<PopulateRange>& ranges) {
  std::uint64_t needed_in_all = 0;
  for (std::size_t i = 0; i < ranges.size();) {
    const Region& region = *ranges[i].region;
    std::uint64_t needed = 0;
    for (; i < ranges.size() && ranges[i].region == &region; ++i) needed += ranges[i].memory.size();
    needed -= std::min(needed, AllocatedBytes(region));
    if (region.page_size == kHugePage) continue;  // Reserved when it was mapped.
    needed_in_all += needed;
    struct statfs system = {};
    if (fstatfs(region.fd, &system) != 0 || !HasSizeLimit(system)) continue;
    const std::uint64_t free = system.f_bavail * static_cast<std::uint64_t>(system.f_bsize);
    if (needed <= free) continue;
    return absl::ResourceExhaustedError(
        fmt::format("region '{}' needs {} more bytes of its tmpfs, which has {} left: enlarge it with "
                    "mount -o remount,size=…, or give the guest less memory",
                    region.name, needed, free));
  }
  const MemoryBudget budget = AvailableMemory();
  if (needed_in_all <= budget.bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("the guest needs {} MiB of memory, but only {} MiB are left here ({}): free some, raise the limit, "
                  "or give the guest less memory",
                  needed_in_all >> 20, budget.bytes >> 20, budget.limited_by));
}

}  // namespace

absl::Status Populate(const std::vector<PopulateRange>& ranges, std::size_t threads,
                      const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
  if (absl::Status status = CheckEnough(ranges); !status.ok()) return status;
  const std::vector<PopulateRange> pieces = CutIntoPieces(ranges);
  std::uint64_t total = 0;
  for (const PopulateRange& piece : pieces) total += piece.memory.size();
  std::atomic<std::uint64_t> done{0};
  const UniqueFd scratch_file(memfd_create("farfault-warm-up", MFD_CLOEXEC));
  const auto populate_piece = [&](std::size_t index) -> absl::Status {
    const PopulateRange& piece = pieces[index];
    if (piece.huge) PopulateHuge(piece);
    while (madvise(piece.memory.data(), piece.memory.size(), MADV_POPULATE_WRITE) != 0) {
      const int error = errno;
      if (error != EINTR && error != EAGAIN) return Lacking(*piece.region, error, done.load());
    }
    WarmUp(scratch_file.get(), piece.memory, piece.region->page_size);
    done.fetch_add(piece.memory.size(), std::memory_order_relaxed);
    return absl::OkStatus();
  };
  std::function<void()> tick;
  if (progress) tick = [&] { progress(done.load(std::memory_order_relaxed), total); };
  return RunInParallel(pieces.size(), ThreadCount(threads), populate_piece, tick);
}

}  // namespace farfault
