#ifndef FARFAULT_LIB_UTIL_MEMORY_BUDGET_H_
#define FARFAULT_LIB_UTIL_MEMORY_BUDGET_H_

#include <cstdint>
#include <string>

namespace farfault {

struct MemoryBudget {
  std::uint64_t bytes = 0;  ///< UINT64_MAX when nothing can be found out.
  std::string limited_by;   ///< "MemAvailable + SwapFree in /proc/meminfo", or the file of a control group.
};

/// How much memory this process can still use before the kernel swaps heavily or kills: the machine's, or that of the
/// tightest control group (v1 or v2) it is in. `root` is prepended to /proc and /sys.
MemoryBudget AvailableMemory(const std::string& root = "");

/// Pages of 2 MiB in the pool of hugetlbfs that nobody has taken or reserved.
std::uint64_t FreeHugePages(const std::string& root = "");

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_MEMORY_BUDGET_H_
