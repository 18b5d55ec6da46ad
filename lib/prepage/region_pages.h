#ifndef FARFAULT_LIB_PREPAGE_REGION_PAGES_H_
#define FARFAULT_LIB_PREPAGE_REGION_PAGES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"
#include "lib/prepage/pagemap.h"

namespace farfault {

/// Translates between the addresses and the page indexes of one region.
class RegionPages {
 public:
  RegionPages(const GuestMemory& memory, std::size_t index)
      : region_(memory.regions()[index]), pages_(memory.pages_of(index)) {}

  const Region& region() const { return region_; }
  const PageRun& pages() const { return pages_; }
  bool huge() const { return region_.page_size != kSmallPage; }
  bool file_backed() const { return region_.fd >= 0; }

  Pagemap::AddressRange Addresses(PageRun run) const {
    const std::uint64_t base = reinterpret_cast<std::uint64_t>(region_.base);
    return {base + (run.first - pages_.first) * region_.page_size,
            base + (run.end() - pages_.first) * region_.page_size};
  }
  Pagemap::AddressRange Addresses() const { return Addresses(pages_); }

  /// Every page that the range touches.
  PageRun Pages(Pagemap::AddressRange range) const {
    const std::uint64_t base = reinterpret_cast<std::uint64_t>(region_.base);
    const PageIndex first = (range.begin - base) / region_.page_size;
    const PageIndex end = (range.end - base + region_.page_size - 1) / region_.page_size;
    return {pages_.first + first, end - first};
  }

  absl::Status Annotate(const absl::Status& status) const;

 private:
  const Region& region_;
  PageRun pages_;
};

/// Sorts what stands behind position `from` and unites what overlaps or touches. Only for runs of one region.
void SortAndUnite(std::vector<PageRun>* runs, std::size_t from);

/// Appends the pages of `run` to runs that ascend.
inline void AppendRun(PageRun run, std::size_t from, std::vector<PageRun>* runs) {
  if (runs->size() > from && runs->back().end() == run.first) {
    runs->back().count += run.count;
  } else {
    runs->push_back(run);
  }
}

}  // namespace farfault

#endif  // FARFAULT_LIB_PREPAGE_REGION_PAGES_H_
