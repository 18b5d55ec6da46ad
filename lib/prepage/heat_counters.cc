#include "lib/prepage/heat_counters.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace farfault {

void HeatCounters::Count(PageRun run) {
  assert(run.end() <= pages_);
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (heat(page) == kMax) continue;
    std::uint8_t& byte = bytes_[page / 2];
    byte = static_cast<std::uint8_t>(byte + (1u << (page % 2 * 4)));
  }
}

std::vector<PageHeat> HeatCounters::HottestFirst(std::size_t max) const {
  std::array<std::size_t, kMax + 1> count{};
  for (PageIndex page = 0; page < pages_; ++page) ++count[heat(page)];
  // Where the pages of each heat begin in the answer.
  std::array<std::size_t, kMax + 1> next{};
  std::size_t total = 0;
  for (std::uint32_t heat = kMax; heat > 0; --heat) {
    next[heat] = total;
    total += count[heat];
  }
  std::vector<PageHeat> hottest(std::min(total, max));
  for (PageIndex page = 0; page < pages_; ++page) {
    const std::uint32_t rounds = heat(page);
    if (rounds == 0) continue;
    const std::size_t place = next[rounds]++;
    if (place < hottest.size()) hottest[place] = {page, rounds};
  }
  return hottest;
}

}  // namespace farfault
