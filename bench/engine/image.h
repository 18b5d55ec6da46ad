#ifndef FARFAULT_BENCH_ENGINE_IMAGE_H_
#define FARFAULT_BENCH_ENGINE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "farfault/guest_memory.h"

namespace farfault::bench {

/// The contents of the guests that are moved here: every word of a page is a number that belongs to the page, so a
/// measurement can check that what it measured was also right.
constexpr std::uint64_t ImageWord(std::uint64_t page) { return (page + 1) * 0x9e3779b97f4a7c15u | 1; }

inline void FillImage(std::span<std::byte> memory) {
  auto* words = reinterpret_cast<std::uint64_t*>(memory.data());
  constexpr std::uint64_t kWords = kSmallPage / sizeof(std::uint64_t);
  for (std::uint64_t i = 0; i < memory.size() / sizeof(std::uint64_t); ++i) words[i] = ImageWord(i / kWords);
}

/// Pages whose first or last word is wrong.
inline std::uint64_t CountWrongPages(std::span<const std::byte> memory) {
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < memory.size() / kSmallPage; ++page) {
    const std::byte* bytes = memory.data() + page * kSmallPage;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::memcpy(&first, bytes, sizeof(first));
    std::memcpy(&last, bytes + kSmallPage - sizeof(last), sizeof(last));
    if (first != ImageWord(page) || last != ImageWord(page)) ++wrong;
  }
  return wrong;
}

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_IMAGE_H_
