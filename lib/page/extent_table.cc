#include "lib/page/extent_table.h"

#include <algorithm>
#include <limits>

namespace farfault {

ExtentTable::ExtentTable(const PageLayout& layout)
    : layout_(layout), blocks_((layout.total_pages() + kBlockPages - 1) / kBlockPages) {}

bool ExtentTable::IsFree(PageRun run) const {
  for (PageIndex page = run.first; page < run.end();) {
    const std::uint32_t block = blocks_[page >> kBlockShift];
    const PageIndex next = std::min(run.end(), ((page >> kBlockShift) + 1) << kBlockShift);
    if ((block & kMixed) != 0) {
      for (; page < next; ++page) {
        if (SlotOf(page) != 0) return false;
      }
    } else if (block != 0) {
      return false;
    }
    page = next;
  }
  return true;
}

void ExtentTable::Assign(PageRun run, Slot slot) {
  for (PageIndex page = run.first; page < run.end();) {
    std::uint32_t& block = blocks_[page >> kBlockShift];
    const PageIndex next = std::min(run.end(), ((page >> kBlockShift) + 1) << kBlockShift);
    if (next - page == kBlockPages) {
      block = slot;
      page = next;
      continue;
    }
    if ((block & kMixed) == 0) {
      mixed_.emplace_back().fill(static_cast<Slot>(block));
      block = kMixed | static_cast<std::uint32_t>(mixed_.size() - 1);
    }
    std::array<Slot, kBlockPages>& slots = mixed_[block & ~kMixed];
    for (; page < next; ++page) slots[page % kBlockPages] = slot;
  }
}

bool ExtentTable::Add(const Extent& extent) {
  const PageRun run = extent.pages;
  if (extents_.size() > kMaxExtents || run.count == 0 || !layout_.Contains(run)) return false;
  if (layout_.ClipToRegion(run) != run || !IsFree(run)) return false;
  const std::uint64_t bytes = run.count * layout_.page_size(run.first);
  if (extent.address > std::numeric_limits<std::uint64_t>::max() - bytes) return false;
  Assign(run, static_cast<Slot>(extents_.size()));
  extents_.push_back(extent);
  pages_ += run.count;
  return true;
}

PageRun ExtentTable::Clip(PageRun run) const {
  const Extent& extent = Of(run.first);
  if (extent.pages.count != 0) return {run.first, std::min(run.end(), extent.pages.end()) - run.first};
  PageIndex end = run.first + 1;
  while (end < run.end() && !Has(end)) ++end;
  return {run.first, end - run.first};
}

std::vector<PageRun> ExtentTable::Missing() const {
  std::vector<PageRun> taken;
  for (const Extent& extent : extents()) taken.push_back(extent.pages);
  std::sort(taken.begin(), taken.end(), [](const PageRun& a, const PageRun& b) { return a.first < b.first; });
  std::vector<PageRun> missing;
  std::size_t next = 0;
  for (const PageLayout::RegionPages& region : layout_.regions()) {
    PageIndex at = region.pages.first;
    for (; next < taken.size() && taken[next].first < region.pages.end(); ++next) {
      if (taken[next].first > at) missing.push_back({at, taken[next].first - at});
      at = taken[next].end();
    }
    if (at < region.pages.end()) missing.push_back({at, region.pages.end() - at});
  }
  return missing;
}

}  // namespace farfault
