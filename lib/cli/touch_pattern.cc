#include "lib/cli/touch_pattern.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "lib/util/splitmix.h"

namespace farfault {

absl::StatusOr<TouchPattern> ParseTouchPattern(std::string_view text) {
  if (text == "random") return TouchPattern::kRandom;
  if (text == "sequential") return TouchPattern::kSequential;
  if (text == "strided") return TouchPattern::kStrided;
  return absl::InvalidArgumentError(
      fmt::format("there is no pattern \"{}\": choose from random, sequential and strided", text));
}

std::vector<std::uint64_t> TouchOrder(TouchPattern pattern, std::uint64_t pages, std::uint64_t stride,
                                      std::uint64_t seed) {
  std::vector<std::uint64_t> order(pages);
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  if (pattern == TouchPattern::kRandom) {
    SplitMix64 random(seed);
    for (std::uint64_t left = pages; left > 1; --left) std::swap(order[left - 1], order[random.Below(left)]);
  } else if (pattern == TouchPattern::kStrided) {
    auto next = order.begin();
    for (std::uint64_t first = 0; first < stride; ++first) {
      for (std::uint64_t page = first; page < pages; page += stride) *next++ = page;
    }
  }
  return order;
}

}  // namespace farfault
