#include "lib/page/huge_page_hint.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "lib/prepage/pagemap.h"

namespace farfault {
namespace {

// Where the file's file system is mounted; empty for a memfd, which is on a mount of the kernel's own.
std::string MountPoint(int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return "";
  const std::string device = fmt::format("{}:{}", major(info.st_dev), minor(info.st_dev));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, mounted_device, root, point;
    if (fields >> id >> parent >> mounted_device >> root >> point && mounted_device == device) return point;
  }
  return "";
}

}  // namespace

std::string HugePageHint(const Region& region, const std::vector<bool>& huge_chunks) {
  if (region.page_size != kSmallPage || huge_chunks.empty()) return "";
  if (reinterpret_cast<std::uint64_t>(region.base) % kHugePage != 0 || region.file_offset % kHugePage != 0) {
    return fmt::format("region '{}' stays on small pages: its base and its file offset must be multiples of 2 MiB",
                       region.name);
  }
  const auto huge = static_cast<std::size_t>(std::count(huge_chunks.begin(), huge_chunks.end(), true));
  if (huge == huge_chunks.size()) return "";
  if (huge > 0) {
    return fmt::format(
        "region '{}': {} of {} chunks got no huge page, memory is fragmented: echo 1 > "
        "/proc/sys/vm/compact_memory",
        region.name, huge_chunks.size() - huge, huge_chunks.size());
  }
  if (const auto pagemap = Pagemap::OpenSelf(); !pagemap.ok()) {
    return fmt::format("region '{}' stays on small pages: huge pages need Linux 6.7", region.name);
  }
  const std::string mount = MountPoint(region.fd);
  return fmt::format("region '{}' stays on small pages, its file does not allow huge ones: {}", region.name,
                     mount.empty() ? "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled"
                                   : fmt::format("mount -o remount,huge=advise {}", mount));
}

}  // namespace farfault
