#ifndef FARFAULT_LIB_PAGE_PAGE_LAYOUT_H_
#define FARFAULT_LIB_PAGE_PAGE_LAYOUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "farfault/guest_memory.h"
#include "farfault/page.h"

namespace farfault {

/// Which pages belong to which region and how large they are: what both ends agree on.
class PageLayout {
 public:
  struct RegionPages {
    PageRun pages;
    std::uint64_t page_size = kSmallPage;
  };

  PageLayout() = default;
  explicit PageLayout(std::vector<RegionPages> regions) : regions_(std::move(regions)) {}
  explicit PageLayout(const GuestMemory& memory) {
    for (std::size_t i = 0; i < memory.regions().size(); ++i) {
      regions_.push_back({memory.pages_of(i), memory.regions()[i].page_size});
    }
  }

  std::span<const RegionPages> regions() const { return regions_; }
  std::uint64_t total_pages() const { return regions_.empty() ? 0 : regions_.back().pages.end(); }
  std::uint64_t total_bytes() const {
    std::uint64_t bytes = 0;
    for (const RegionPages& region : regions_) bytes += region.pages.count * region.page_size;
    return bytes;
  }

  bool Contains(PageRun run) const { return run.count <= total_pages() && run.first <= total_pages() - run.count; }

  /// The region of a page inside the layout. Sessions have few regions: a linear search beats anything clever.
  std::size_t RegionOf(PageIndex page) const {
    std::size_t i = 0;
    while (page >= regions_[i].pages.end()) ++i;
    return i;
  }

  std::uint64_t page_size(PageIndex page) const { return regions_[RegionOf(page)].page_size; }

  /// How many pages `bytes` may hold, whichever region they are of; at least one.
  std::uint64_t MostPages(std::uint64_t bytes) const {
    std::uint64_t smallest = kHugePage;
    for (const RegionPages& region : regions_) smallest = std::min(smallest, region.page_size);
    return std::max<std::uint64_t>(1, bytes / smallest);
  }

  /// `run` cut off where its first page's region ends.
  PageRun ClipToRegion(PageRun run) const {
    const PageRun& region = regions_[RegionOf(run.first)].pages;
    return {run.first, std::min(run.end(), region.end()) - run.first};
  }

 private:
  std::vector<RegionPages> regions_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_PAGE_LAYOUT_H_
