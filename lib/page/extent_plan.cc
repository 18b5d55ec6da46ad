#include "lib/page/extent_plan.h"

#include <algorithm>

namespace farfault {
namespace {

constexpr std::uint64_t kChunkBytes = 64u << 20;
constexpr std::uint64_t kMostChunks = kMaxOfferedExtents / 2;

// Unites neighbours of one stretch across the smallest gaps until there are at most `most` extents, or one per stretch.
std::vector<PageRun> Unite(std::span<const PageRun> stretches, std::span<const PageRun> data, std::size_t most) {
  std::vector<std::uint64_t> gaps;
  std::vector<std::uint64_t> gap_before(data.size());  // 0: the first of its stretch.
  std::size_t stretch = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::size_t before = stretch;
    while (data[i].first >= stretches[stretch].end()) ++stretch;
    if (i == 0 || stretch != before) continue;
    gap_before[i] = data[i].first - data[i - 1].end();
    gaps.push_back(gap_before[i]);
  }
  std::uint64_t largest_united = 0;
  if (data.size() > most && !gaps.empty()) {
    const std::size_t excess = std::min(data.size() - most, gaps.size());
    const auto last = gaps.begin() + static_cast<std::ptrdiff_t>(excess - 1);
    std::nth_element(gaps.begin(), last, gaps.end());
    largest_united = *last;
  }
  std::vector<PageRun> extents;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (gap_before[i] != 0 && gap_before[i] <= largest_united) {
      extents.back().count = data[i].end() - extents.back().first;
    } else {
      extents.push_back(data[i]);
    }
  }
  return extents;
}

}  // namespace

// With `stretches` s and slots r: k extents split stretches into at most s + k, and r - k slots are left, which must
// not be fewer. Where that fails, each stretch that has data is taken as a whole: one slot less, one stretch less.
std::vector<PageRun> PlanExtents(std::span<const PageRun> stretches, std::span<const PageRun> data, std::size_t slots) {
  const std::size_t most = slots > stretches.size() ? (slots - stretches.size()) / 2 : 0;
  std::vector<PageRun> extents = Unite(stretches, data, most);
  if (extents.size() <= most) return extents;
  std::vector<PageRun> whole;
  std::size_t next = 0;
  for (const PageRun& stretch : stretches) {
    const std::size_t first = next;
    while (next < data.size() && data[next].first < stretch.end()) ++next;
    if (next > first) whole.push_back(stretch);
  }
  return whole;
}

std::vector<PageRun> PlanOffer(const PageLayout& layout, std::span<const PageRun> holes) {
  std::vector<PageRun> regions;
  for (const PageLayout::RegionPages& region : layout.regions()) regions.push_back(region.pages);
  std::vector<PageRun> sorted(holes.begin(), holes.end());
  std::sort(sorted.begin(), sorted.end(), [](const PageRun& a, const PageRun& b) { return a.first < b.first; });
  const std::vector<PageRun> extents = PlanExtents(regions, WithoutHoles(regions, sorted), kMaxOfferedExtents);
  const std::uint64_t chunk = std::max(kChunkBytes, layout.total_bytes() / kMostChunks + 1);
  std::vector<PageRun> pieces;
  for (PageRun rest : extents) {
    const std::uint64_t page_size = layout.page_size(rest.first);
    const std::uint64_t most = (chunk + page_size - 1) / page_size;
    for (; rest.count > most; rest = {rest.first + most, rest.count - most}) pieces.push_back({rest.first, most});
    pieces.push_back(rest);
  }
  return pieces;
}

std::vector<PageRun> WithoutHoles(std::span<const PageRun> stretches, std::span<const PageRun> holes) {
  std::vector<PageRun> parts;
  std::size_t next = 0;
  for (const PageRun& stretch : stretches) {
    PageIndex at = stretch.first;
    while (next < holes.size() && holes[next].end() <= at) ++next;
    for (std::size_t i = next; i < holes.size() && holes[i].first < stretch.end(); ++i) {
      if (holes[i].first > at) parts.push_back({at, holes[i].first - at});
      at = std::max(at, holes[i].end());
    }
    if (at < stretch.end()) parts.push_back({at, stretch.end() - at});
  }
  return parts;
}

}  // namespace farfault
