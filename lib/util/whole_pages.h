#ifndef FARFAULT_LIB_UTIL_WHOLE_PAGES_H_
#define FARFAULT_LIB_UTIL_WHOLE_PAGES_H_

#include <algorithm>
#include <cstdint>

namespace farfault {

/// `bytes` rounded up to whole pages, at least one; as many as 64 bits can count when that would be more.
constexpr std::uint64_t RoundUpToPages(std::uint64_t bytes, std::uint64_t page_size) {
  const std::uint64_t pages = bytes / page_size + (bytes % page_size != 0 ? 1 : 0);
  return std::clamp<std::uint64_t>(pages, 1, UINT64_MAX / page_size) * page_size;
}

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_WHOLE_PAGES_H_
