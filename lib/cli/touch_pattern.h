#ifndef FARFAULT_LIB_CLI_TOUCH_PATTERN_H_
#define FARFAULT_LIB_CLI_TOUCH_PATTERN_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace farfault {

/// An order in which every page is touched exactly once.
enum class TouchPattern : std::uint8_t { kRandom, kSequential, kStrided };

/// "random", "sequential", "strided". kInvalidArgument names the known ones.
absl::StatusOr<TouchPattern> ParseTouchPattern(std::string_view text);

/// `stride`, at least 1, is in pages: 0, stride, 2·stride, … then 1, 1 + stride, …
std::vector<std::uint64_t> TouchOrder(TouchPattern pattern, std::uint64_t pages, std::uint64_t stride,
                                      std::uint64_t seed);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_TOUCH_PATTERN_H_
