#include "lib/prepage/pagemap.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <utility>

namespace farfault {

struct Pagemap::ScanArgument {
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;
  std::uint64_t vec;
  std::uint64_t vec_len;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};

namespace {

// <linux/fs.h> has these since Linux 6.7; the headers that we are built with may be older.
struct PageRegion {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};

constexpr std::size_t kScanArgumentBytes = 96;
constexpr unsigned long kPagemapScan = _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, kScanArgumentBytes);
constexpr std::uint64_t kWpMatching = 1u << 0;
constexpr std::uint64_t kCheckWpAsync = 1u << 1;

constexpr std::size_t kRangesPerCall = 512;

std::string KernelRelease() {
  utsname names{};
  return uname(&names) == 0 ? names.release : "unknown";
}

}  // namespace

absl::StatusOr<Pagemap> Pagemap::OpenSelf() { return OpenPath("/proc/self/pagemap"); }

absl::StatusOr<Pagemap> Pagemap::Open(pid_t pid) {
  if (pid <= 0) return absl::NotFoundError("the guest's process is not known");
  return OpenPath(fmt::format("/proc/{}/pagemap", pid));
}

absl::StatusOr<Pagemap> Pagemap::OpenPath(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno,
                               fmt::format("cannot open {}: is /proc mounted, and may we trace that process?", path));
  }
  // An empty scan tells whether the kernel knows the ioctl.
  ScanArgument nothing{};
  nothing.size = sizeof(nothing);
  nothing.category_mask = nothing.return_mask = kPresent;
  if (ioctl(fd.get(), kPagemapScan, &nothing) < 0) {
    const int error = errno;
    return absl::UnimplementedError(fmt::format(
        "the kernel ({}) has no PAGEMAP_SCAN ioctl ({}); it needs Linux 6.7. Without it farfault cannot see "
        "what the guest touches: bring a dirty bitmap (track_dirty = false and dirty_log), and set "
        "track_history = false",
        KernelRelease(), std::strerror(error)));
  }
  return Pagemap(std::move(fd));
}

absl::Status Pagemap::Scan(AddressRange range, const Query& query, absl::FunctionRef<void(AddressRange)> found) const {
  ScanArgument argument{};
  argument.flags = query.protect_again ? kWpMatching | kCheckWpAsync : 0;
  argument.category_inverted = query.none_of;
  argument.category_mask = query.all_of | query.none_of;
  argument.return_mask = argument.category_mask;
  return Walk(range, argument, [&](AddressRange match, std::uint64_t /*categories*/) { found(match); });
}

absl::Status Pagemap::ScanWrittenOrAbsent(AddressRange range,
                                          absl::FunctionRef<void(AddressRange, std::uint64_t)> found) const {
  ScanArgument argument{};
  argument.category_inverted = kPresent;
  argument.category_anyof_mask = kWritten | kPresent;
  argument.return_mask = kWritten | kPresent | kSwapped;
  return Walk(range, argument, found);
}

absl::Status Pagemap::Walk(AddressRange range, ScanArgument argument,
                           absl::FunctionRef<void(AddressRange, std::uint64_t)> found) const {
  static_assert(sizeof(ScanArgument) == kScanArgumentBytes);
  std::array<PageRegion, kRangesPerCall> ranges;
  argument.size = sizeof(argument);
  argument.end = range.end;
  argument.vec = reinterpret_cast<std::uint64_t>(ranges.data());
  argument.vec_len = ranges.size();
  for (std::uint64_t at = range.begin; at < range.end;) {
    argument.start = at;
    const int filled = ioctl(fd_.get(), kPagemapScan, &argument);
    if (filled < 0 && errno == EINTR) continue;
    if (filled < 0) {
      return absl::ErrnoToStatus(
          errno, fmt::format("scanning the page tables of [{:#x}, {:#x}); unmapped meanwhile?", at, range.end));
    }
    for (const PageRegion& match : std::span(ranges).first(static_cast<std::size_t>(filled))) {
      found({match.start, match.end}, match.categories);
    }
    if (argument.walk_end <= at) return absl::InternalError("PAGEMAP_SCAN does not get on");
    at = argument.walk_end;
  }
  return absl::OkStatus();
}

}  // namespace farfault
