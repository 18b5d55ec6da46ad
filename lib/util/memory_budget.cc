#include "lib/util/memory_budget.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string_view>

namespace farfault {
namespace {

// The number behind `key` in a file of "key[:] number" lines; the first number of the file when `key` is empty.
std::optional<std::uint64_t> NumberIn(const std::string& path, std::string_view key = {}) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::string_view rest = line;
    if (!rest.starts_with(key)) continue;
    rest.remove_prefix(key.size());
    if (!key.empty() && rest.find_first_of(": \t") != 0) continue;
    const std::size_t digits = rest.find_first_of("0123456789");
    if (digits == std::string_view::npos) return std::nullopt;  // "max"
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(rest.data() + digits, rest.data() + rest.size(), number);
    return error == std::errc() ? std::optional(number) : std::nullopt;
  }
  return std::nullopt;
}

struct GroupFiles {
  std::string mount;
  std::string_view limit;
  std::string_view usage;
  std::string_view reclaimable;  // Key in memory.stat: file pages that nobody uses.
};

// Tightens `budget` by the group at `path` and those above it.
void LimitByGroups(const GroupFiles& files, std::string path, MemoryBudget& budget) {
  for (;;) {
    const std::string folder = files.mount + path + "/";
    const auto limit = NumberIn(folder + std::string(files.limit));
    const auto usage = NumberIn(folder + std::string(files.usage));
    if (limit && usage) {
      const std::uint64_t cache = NumberIn(folder + "memory.stat", files.reclaimable).value_or(0);
      const std::uint64_t used = *usage - std::min(*usage, cache);
      const std::uint64_t left = *limit - std::min(*limit, used);
      if (left < budget.bytes) budget = {left, folder + std::string(files.limit)};
    }
    if (path.empty()) return;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

}  // namespace

MemoryBudget AvailableMemory(const std::string& root) {
  MemoryBudget budget{UINT64_MAX, "nothing known"};
  const std::string meminfo = root + "/proc/meminfo";
  if (const auto available = NumberIn(meminfo, "MemAvailable")) {
    budget = {(*available + NumberIn(meminfo, "SwapFree").value_or(0)) * 1024, "MemAvailable + SwapFree"};
  }
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t name = line.find(':') + 1;
    const std::size_t path = line.find(':', name) + 1;
    if (name == 0 || path == 0) continue;
    const std::string_view controllers = std::string_view(line).substr(name, path - name - 1);
    std::string group = line.substr(path);
    if (group == "/") group.clear();
    if (controllers.empty()) {
      LimitByGroups({root + "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"}, group, budget);
    } else if (controllers == "memory") {
      LimitByGroups(
          {root + "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
          group, budget);
    }
  }
  return budget;
}

std::uint64_t FreeHugePages(const std::string& root) {
  const std::string pool = root + "/sys/kernel/mm/hugepages/hugepages-2048kB/";
  const std::uint64_t free = NumberIn(pool + "free_hugepages").value_or(0);
  return free - std::min(free, NumberIn(pool + "resv_hugepages").value_or(0));
}

}  // namespace farfault
