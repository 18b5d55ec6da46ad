#include "lib/page/alias.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "lib/prepage/pagemap.h"

namespace farfault {
namespace {

absl::Status CheckFile(const Region& region) {
  const auto invalid = [&region](const std::string& what) {
    return absl::InvalidArgumentError(fmt::format("region '{}': {}", region.name, what));
  };
  struct stat info = {};
  struct statfs system = {};
  if (fstat(region.fd, &info) != 0 || fstatfs(region.fd, &system) != 0) {
    return invalid(fmt::format("its file cannot be examined: {}", std::strerror(errno)));
  }
  if (static_cast<std::uint64_t>(info.st_size) < region.file_offset + region.length) {
    return invalid(fmt::format(
        "its file ends at {}, but the region reaches to {}; make the file longer (ftruncate), or the region shorter",
        info.st_size, region.file_offset + region.length));
  }
  if (system.f_type == HUGETLBFS_MAGIC) {
    if (region.page_size == kHugePage && system.f_bsize == static_cast<long>(kHugePage)) return absl::OkStatus();
    return invalid(fmt::format("its file has huge pages of {} bytes, the region a page size of {}; both must be {}",
                               system.f_bsize, region.page_size, kHugePage));
  }
  if (system.f_type != TMPFS_MAGIC) {
    return invalid(
        "its file is not on memfd, tmpfs or hugetlbfs; put it there, since userfaultfd works on no other file system");
  }
  if (region.page_size == kSmallPage) return absl::OkStatus();
  return invalid(fmt::format("its page size is {}, but its file is not on hugetlbfs; say {}, or put the file there",
                             region.page_size, kSmallPage));
}

}  // namespace

absl::StatusOr<Alias> Alias::Map(const Region& region) {
  if (absl::Status status = CheckFile(region); !status.ok()) return status;
  auto mapping = Mapping::Map({.length = region.length,
                               .protection = PROT_READ | PROT_WRITE,
                               .flags = MAP_SHARED,
                               .fd = region.fd,
                               .offset = region.file_offset,
                               .alignment = kHugePage});
  if (absl::IsPermissionDenied(mapping.status())) {
    return absl::PermissionDeniedError(
        fmt::format("region '{}': its file must be open for reading and writing, and not be sealed", region.name));
  }
  if (!mapping.ok()) {
    return absl::ResourceExhaustedError(fmt::format("region '{}' cannot be mapped a second time: {}; see {}",
                                                    region.name, std::string(mapping.status().message()),
                                                    region.page_size == kHugePage ? "vm.nr_hugepages" : "`ulimit -v`"));
  }
  // Advice; FindHugeChunks tells what came of it.
  if (region.page_size == kSmallPage) static_cast<void>(madvise(mapping->data(), region.length, MADV_HUGEPAGE));
  return Alias(*std::move(mapping));
}

std::vector<bool> Alias::FindHugeChunks(const Region& region) const {
  std::vector<bool> huge(region.length / kHugePage);
  const auto guest = reinterpret_cast<std::uint64_t>(region.base);
  if (region.page_size != kSmallPage || guest % kHugePage != 0 || region.file_offset % kHugePage != 0) return huge;
  const auto pagemap = Pagemap::OpenSelf();
  if (!pagemap.ok()) return huge;
  const auto begin = reinterpret_cast<std::uint64_t>(data());
  const absl::Status status =
      pagemap->Scan({begin, begin + region.length}, {.all_of = Pagemap::kHuge}, [&](Pagemap::AddressRange range) {
        for (std::uint64_t at = range.begin; at + kHugePage <= range.end; at += kHugePage) {
          huge[(at - begin) / kHugePage] = true;
        }
      });
  if (!status.ok()) huge.assign(huge.size(), false);
  return huge;
}

}  // namespace farfault
