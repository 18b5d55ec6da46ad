#include "lib/page/guest_mapping.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "lib/util/madvise.h"
#include "lib/util/mapping.h"

namespace farfault {
namespace {

struct MappedRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool shared = false;
  std::uint64_t offset = 0;
  dev_t device = 0;
  std::uint64_t inode = 0;
  std::string name;
};

std::vector<MappedRange> ReadMaps(const std::string& path = "/proc/self/maps") {
  std::vector<MappedRange> ranges;
  std::ifstream maps(path);
  for (std::string line; std::getline(maps, line);) {
    MappedRange range;
    char permissions[5] = {};
    unsigned device_major = 0;
    unsigned device_minor = 0;
    int name = 0;
    const int fields = std::sscanf(line.c_str(), "%lx-%lx %4s %lx %x:%x %lu %n", &range.begin, &range.end, permissions,
                                   &range.offset, &device_major, &device_minor, &range.inode, &name);
    if (fields < 7) continue;
    range.shared = permissions[3] == 's';
    range.device = makedev(device_major, device_minor);
    range.name = line.substr(static_cast<std::size_t>(name));
    ranges.push_back(std::move(range));
  }
  return ranges;
}

std::string Describe(const MappedRange& range) {
  return fmt::format("a {} mapping of {}", range.shared ? "shared" : "private",
                     range.inode == 0 && range.name.empty() ? "no file" : range.name);
}

// A file as /proc/self/maps tells it from others.
struct FileId {
  dev_t device = 0;
  std::uint64_t inode = 0;

  bool operator==(const FileId&) const = default;
};

FileId IdOf(const MappedRange& range) { return {range.device, range.inode}; }

// File systems with subvolumes or layers (btrfs, overlayfs) may show another device, or even inode, in the maps than in
// fstat: then a mapping of the same descriptor tells.
FileId IdInMaps(const Region& region) {
  auto probe = Mapping::Map({.length = region.page_size,
                             .protection = PROT_NONE,
                             .flags = MAP_SHARED | MAP_NORESERVE,
                             .fd = region.fd,
                             .offset = region.file_offset});
  if (!probe.ok()) return {};
  const auto at = reinterpret_cast<std::uint64_t>(probe->data());
  for (const MappedRange& range : ReadMaps()) {
    if (range.begin <= at && at < range.end) return IdOf(range);
  }
  return {};
}

// A part of a region that is mapped in one piece.
struct Placed {
  const Region& region;
  GuestMapping mapping;
  std::uint64_t file_offset = 0;
  bool external = false;
};

// Empty when `range` is what `placed` says; otherwise what it should have been.
std::string Mismatch(const Placed& placed, const FileId& file, const MappedRange& range) {
  const Region& region = placed.region;
  if (region.fd == -1 && placed.external) return "";
  if (region.fd == -1) {
    // Anonymous huge pages show as a file of the kernel's own.
    const bool kernels_own = region.page_size == kHugePage && range.name.starts_with("/anon_hugepage");
    if (!range.shared && (range.inode == 0 || kernels_own)) return "";
    return "a region without a file must be private anonymous memory";
  }
  if (!range.shared) return "a region with a file must be mapped shared";
  if (IdOf(range) != file && (range.inode == 0 || IdOf(range) != IdInMaps(region))) {
    return fmt::format("file descriptor {} must be the file that is mapped", region.fd);
  }
  if (placed.file_offset + range.begin != range.offset + placed.mapping.address) {
    return fmt::format("offset {} of the file must be mapped there", placed.file_offset);
  }
  return "";
}

absl::Status CheckMapping(const Placed& placed, std::span<const MappedRange> maps) {
  const Region& region = placed.region;
  struct stat file = {};
  if (region.fd >= 0 && fstat(region.fd, &file) != 0) {
    return absl::InvalidArgumentError(
        fmt::format("region '{}': file descriptor {} is not open; leave it open until the session has ended",
                    region.name, region.fd));
  }
  std::uint64_t at = placed.mapping.address;
  const std::uint64_t end = at + placed.mapping.length;
  for (const MappedRange& range : maps) {
    if (range.end <= at || at >= end) continue;
    if (range.begin > at) break;
    if (const std::string mismatch = Mismatch(placed, {file.st_dev, file.st_ino}, range); !mismatch.empty()) {
      return absl::InvalidArgumentError(
          fmt::format("region '{}': {}, but at {:#x} there is {}", region.name, mismatch, at, Describe(range)));
    }
    at = range.end;
  }
  if (at >= end) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("region '{}': nothing is mapped at {:#x}; map all of it first", region.name, at));
}

// A page in two regions would move twice, and what is discarded or written in one would not be known of the other.
absl::Status CheckFilesApart(std::span<const Region> regions) {
  struct Part {
    const Region* region;
    dev_t device;
    ino_t inode;
  };
  std::vector<Part> parts;
  for (const Region& region : regions) {
    struct stat file = {};
    if (region.fd == -1 || fstat(region.fd, &file) != 0) continue;
    for (const Part& other : parts) {
      const Region& before = *other.region;
      if (other.device != file.st_dev || other.inode != file.st_ino) continue;
      if (before.file_offset + before.length <= region.file_offset) continue;
      if (region.file_offset + region.length <= before.file_offset) continue;
      return absl::InvalidArgumentError(
          fmt::format("regions '{}' and '{}' are parts of the same file that overlap, at offsets {} and {}; give each "
                      "region a part of its own",
                      before.name, region.name, before.file_offset, region.file_offset));
    }
    parts.push_back({&region, file.st_dev, file.st_ino});
  }
  return absl::OkStatus();
}

}  // namespace

// Behind the end of a file everything looks like a hole, and is an error to touch.
absl::Status CheckFileLengths(std::span<const Region> regions) {
  for (const Region& region : regions) {
    struct stat file = {};
    if (region.fd < 0 || fstat(region.fd, &file) != 0 || !S_ISREG(file.st_mode)) continue;
    const std::uint64_t needed = region.file_offset + region.length;
    const std::uint64_t pages = (static_cast<std::uint64_t>(file.st_size) + kSmallPage - 1) / kSmallPage;
    if (pages * kSmallPage >= needed) continue;
    return absl::InvalidArgumentError(
        fmt::format("region '{}': its file ends at {}, but the region reaches to {}; make the file longer. If it has "
                    "become shorter since, what was behind its end is lost: begin anew with the whole of it",
                    region.name, file.st_size, needed));
  }
  return absl::OkStatus();
}

absl::Status CheckGuestMappings(std::span<const Region> regions) {
  const std::vector<MappedRange> maps = ReadMaps();
  for (const Region& region : regions) {
    const GuestMapping mapping{reinterpret_cast<std::uint64_t>(region.base), region.length};
    if (absl::Status status = CheckMapping({region, mapping, region.file_offset}, maps); !status.ok()) return status;
  }
  if (absl::Status whole = CheckFileLengths(regions); !whole.ok()) return whole;
  return CheckFilesApart(regions);
}

absl::Status CheckGuestMappings(const GuestMemory& memory) {
  if (memory.external() == nullptr) return CheckGuestMappings(memory.regions());
  const std::vector<MappedRange> maps = ReadMaps(fmt::format("/proc/{}/maps", memory.external()->pid));
  for (std::size_t i = 0; i < memory.regions().size() && !maps.empty(); ++i) {
    const Region& region = memory.regions()[i];
    std::uint64_t file_offset = region.file_offset;
    for (const GuestMapping& mapping : memory.mappings_of(i)) {
      absl::Status status = CheckMapping({region, mapping, file_offset, true}, maps);
      if (!status.ok()) {
        return absl::Status(status.code(),
                            fmt::format("in process {}, {}", memory.external()->pid, std::string(status.message())));
      }
      file_offset += mapping.length;
    }
  }
  if (absl::Status whole = CheckFileLengths(memory.regions()); !whole.ok()) return whole;
  return CheckFilesApart(memory.regions());
}

absl::Status DropPages(std::byte* address, std::uint64_t length) {
  if (madvise(address, length, MADV_DONTNEED) == 0) return absl::OkStatus();
  if (errno == EINVAL && madvise(address, length, MADV_DONTNEED_LOCKED) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(
      errno, fmt::format("madvise(MADV_DONTNEED) on {} bytes at {}", length, fmt::ptr(static_cast<void*>(address))));
}

}  // namespace farfault
