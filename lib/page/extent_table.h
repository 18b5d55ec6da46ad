#ifndef FARFAULT_LIB_PAGE_EXTENT_TABLE_H_
#define FARFAULT_LIB_PAGE_EXTENT_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "farfault/page.h"
#include "lib/page/page_layout.h"

namespace farfault {

/// Pages of one region that one key opens.
struct Extent {
  PageRun pages;
  std::uint64_t address = 0;  ///< Of the first page.
  std::uint32_t key = 0;
};

/// Which key opens a page: the registered memory of one side, as that side or its peer sees it. Looking up is two
/// array accesses. Filled before the switchover; one thread.
///
/// Each 512 pages have one entry, which is a slot of the list of extents or leads to a slot per page: 4 bytes per
/// 512 pages, and 1 KiB more where an extent begins or ends inside.
class ExtentTable {
 public:
  /// What a side may offer in all; see extent_plan.h for how a fragmented memory gets by with it.
  static constexpr std::size_t kMaxExtents = 4096;

  ExtentTable() = default;
  explicit ExtentTable(const PageLayout& layout);

  /// False, and nothing is changed: the table is full, the extent is not inside one region, a page of it has a key
  /// already, or its addresses go past the end.
  bool Add(const Extent& extent);

  bool Has(PageIndex page) const { return SlotOf(page) != 0; }
  /// Without pages and with key 0 when the page is in none.
  const Extent& Of(PageIndex page) const { return extents_[SlotOf(page)]; }
  std::uint64_t AddressOf(const Extent& extent, PageIndex page, std::uint64_t page_size) const {
    return extent.address + (page - extent.pages.first) * page_size;
  }

  /// `run`, of one region, cut off where the extent of its first page ends, or where one begins.
  PageRun Clip(PageRun run) const;
  /// The stretches without a key, ascending, each inside one region.
  std::vector<PageRun> Missing() const;
  bool complete() const { return pages_ == layout_.total_pages(); }
  std::uint64_t pages() const { return pages_; }
  /// In the order in which they were added.
  std::span<const Extent> extents() const { return std::span(extents_).subspan(1); }
  std::size_t free_slots() const { return kMaxExtents + 1 - extents_.size(); }
  std::size_t size_bytes() const {
    return extents_.capacity() * sizeof(Extent) + blocks_.capacity() * sizeof(blocks_[0]) +
           mixed_.capacity() * sizeof(mixed_[0]);
  }

 private:
  using Slot = std::uint16_t;
  static_assert(kMaxExtents < UINT16_MAX);
  static constexpr unsigned kBlockShift = 9;
  static constexpr std::uint64_t kBlockPages = 1u << kBlockShift;
  static constexpr std::uint32_t kMixed = 1u << 31;

  Slot SlotOf(PageIndex page) const {
    const std::uint32_t block = blocks_[page >> kBlockShift];
    if ((block & kMixed) == 0) return static_cast<Slot>(block);
    return mixed_[block & ~kMixed][page % kBlockPages];
  }
  bool IsFree(PageRun run) const;
  void Assign(PageRun run, Slot slot);

  PageLayout layout_;
  std::vector<Extent> extents_ = std::vector<Extent>(1);  // Slot 0: none.
  std::vector<std::uint32_t> blocks_;
  std::vector<std::array<Slot, kBlockPages>> mixed_;
  std::uint64_t pages_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_EXTENT_TABLE_H_
