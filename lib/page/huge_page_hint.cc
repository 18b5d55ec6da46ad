#include "lib/page/huge_page_hint.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <fstream>
#include <string_view>

#include "lib/prepage/pagemap.h"

namespace farfault {
namespace {

bool SharedHugePagesDenied() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::string choices;
  std::getline(file, choices);
  return choices.find("[deny]") != std::string::npos;
}

}  // namespace

std::string HugePageHint(const Region& region, const std::vector<bool>& huge_chunks, bool whole) {
  if (region.page_size != kSmallPage || huge_chunks.empty()) return "";
  if (reinterpret_cast<std::uint64_t>(region.base) % kHugePage != 0 || region.file_offset % kHugePage != 0) {
    return fmt::format("region '{}' stays on small pages: its base and its file offset must be multiples of 2 MiB",
                       region.name);
  }
  if (!whole) return "";
  const auto huge = static_cast<std::size_t>(std::count(huge_chunks.begin(), huge_chunks.end(), true));
  if (huge == huge_chunks.size()) return "";
  const auto stays = [&](std::string_view why) {
    return fmt::format("region '{}' stays on small pages: {}", region.name, why);
  };
  if (!Pagemap::OpenSelf().ok()) return stays("huge pages need Linux 6.7");
  if (huge == 0 && prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) > 0) {
    return stays("they are disabled for this process (prctl PR_SET_THP_DISABLE), by itself or by who started it");
  }
  if (huge == 0 && SharedHugePagesDenied()) {
    return stays("huge ones are denied: echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled");
  }
  return fmt::format(
      "region '{}': {} of {} chunks got no huge page, memory is fragmented: echo 1 > /proc/sys/vm/compact_memory",
      region.name, huge_chunks.size() - huge, huge_chunks.size());
}

}  // namespace farfault
