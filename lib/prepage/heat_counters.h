#ifndef FARFAULT_LIB_PREPAGE_HEAT_COUNTERS_H_
#define FARFAULT_LIB_PREPAGE_HEAT_COUNTERS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "farfault/page.h"

namespace farfault {

/// How often each page was touched, four bits per page, saturating. One thread.
class HeatCounters {
 public:
  static constexpr std::uint32_t kMax = 15;

  explicit HeatCounters(std::uint64_t pages) : pages_(pages), bytes_((pages + 1) / 2) {}

  void Count(PageRun run);
  std::uint32_t heat(PageIndex page) const { return (std::uint32_t{bytes_[page / 2]} >> (page % 2 * 4)) & 0xFu; }

  /// At most `max` pages that were touched at all, hottest first, ascending among equals.
  std::vector<PageHeat> HottestFirst(std::size_t max) const;

  std::size_t size_bytes() const { return bytes_.size(); }

 private:
  std::uint64_t pages_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PREPAGE_HEAT_COUNTERS_H_
