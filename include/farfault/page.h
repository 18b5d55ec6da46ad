#ifndef FARFAULT_PAGE_H_
#define FARFAULT_PAGE_H_

#include <cstdint>

namespace farfault {

/// Index of a page inside a session. The pages of all regions are numbered one after the other, in the
/// order in which `GuestMemory` holds its regions; a 2 MiB hugetlbfs page has one index like any other.
using PageIndex = std::uint64_t;

/// `count` consecutive pages of one region, from `first` on. A run never spans two regions.
struct PageRun {
  PageIndex first = 0;
  std::uint64_t count = 0;

  constexpr PageIndex end() const { return first + count; }
  friend constexpr bool operator==(const PageRun&, const PageRun&) = default;
};

/// How often a page was touched while the guest still ran at the source; see `Predictor::OnHistory`.
struct PageHeat {
  PageIndex page = 0;
  /// Number of history rounds in which the page was seen touched, 1 and up.
  std::uint32_t rounds_touched = 0;
};

}  // namespace farfault

#endif  // FARFAULT_PAGE_H_
