#ifndef FARFAULT_LIB_PAGE_PAGE_BITMAP_H_
#define FARFAULT_LIB_PAGE_PAGE_BITMAP_H_

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "farfault/page.h"

namespace farfault {

/// One bit per page. One thread.
class PageBitmap {
 public:
  explicit PageBitmap(std::uint64_t pages = 0) : pages_(pages), words_((pages + 63) / 64) {}

  std::uint64_t size() const { return pages_; }
  std::size_t size_bytes() const { return words_.size() * sizeof(std::uint64_t); }

  bool Test(PageIndex page) const {
    assert(page < pages_);
    return ((words_[page / 64] >> (page % 64)) & 1) != 0;
  }
  void Set(PageIndex page) { words_[page / 64] |= std::uint64_t{1} << (page % 64); }
  void Clear(PageIndex page) { words_[page / 64] &= ~(std::uint64_t{1} << (page % 64)); }

  void SetRun(PageRun run) {
    ForEachWord(run, [this](std::size_t word, std::uint64_t mask) { words_[word] |= mask; });
  }
  void ClearRun(PageRun run) {
    ForEachWord(run, [this](std::size_t word, std::uint64_t mask) { words_[word] &= ~mask; });
  }
  void ClearAll() { std::fill(words_.begin(), words_.end(), 0); }

  std::uint64_t Count() const {
    std::uint64_t count = 0;
    for (std::uint64_t word : words_) count += static_cast<std::uint64_t>(std::popcount(word));
    return count;
  }

  /// The first run of at most `most` set (clear) bits inside [from, end), empty when there is none. Costs one step per
  /// word that is looked at.
  PageRun NextSet(PageIndex from, PageIndex end, std::uint64_t most = UINT64_MAX) const {
    return NextRun(from, end, most, 0);
  }
  PageRun NextClear(PageIndex from, PageIndex end, std::uint64_t most = UINT64_MAX) const {
    return NextRun(from, end, most, ~std::uint64_t{0});
  }

 private:
  template <typename Visit>
  void ForEachWord(PageRun run, Visit visit) {
    assert(run.end() <= pages_);
    for (PageIndex page = run.first; page < run.end();) {
      const std::uint64_t bit = page % 64;
      const std::uint64_t count = std::min<std::uint64_t>(64 - bit, run.end() - page);
      const std::uint64_t mask = (count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << bit;
      visit(page / 64, mask);
      page += count;
    }
  }

  PageIndex FirstSet(PageIndex from, PageIndex end, std::uint64_t flip) const {
    while (from < end) {
      const std::uint64_t rest = (words_[from / 64] ^ flip) >> (from % 64);
      if (rest != 0) return std::min(end, from + static_cast<std::uint64_t>(std::countr_zero(rest)));
      from = (from / 64 + 1) * 64;
    }
    return end;
  }

  PageRun NextRun(PageIndex from, PageIndex end, std::uint64_t most, std::uint64_t flip) const {
    assert(end <= pages_);
    const PageIndex first = FirstSet(from, end, flip);
    if (first >= end) return {};
    return {first, FirstSet(first, first + std::min(most, end - first), ~flip) - first};
  }

  std::uint64_t pages_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_PAGE_BITMAP_H_
