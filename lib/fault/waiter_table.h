#ifndef FARFAULT_LIB_FAULT_WAITER_TABLE_H_
#define FARFAULT_LIB_FAULT_WAITER_TABLE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "farfault/page.h"
#include "lib/util/clock.h"

namespace farfault {

/// Since when which threads of the guest wait for which page. One thread; nothing allocates after construction.
class WaiterTable {
 public:
  explicit WaiterTable(std::uint32_t capacity) : entries_(capacity), heads_(std::bit_ceil(capacity), kNone) {
    for (std::uint32_t i = 0; i < capacity; ++i) entries_[i].next = i + 1 < capacity ? i + 1 : kNone;
    free_ = capacity > 0 ? 0 : kNone;
  }

  /// False when the table is full: this wait will not be told.
  bool Add(PageIndex page, Nanos since, bool network) {
    if (free_ == kNone) return false;
    const std::uint32_t index = free_;
    Entry& entry = entries_[index];
    free_ = entry.next;
    std::uint32_t& head = heads_[HeadOf(page)];
    entry = {page, since, head, network};
    head = index;
    ++count_;
    return true;
  }

  bool empty() const { return count_ == 0; }

  /// Calls visit(since, network) for each thread that waits for `page`, and forgets them.
  template <typename Visit>
  void Take(PageIndex page, Visit visit) {
    for (std::uint32_t* link = &heads_[HeadOf(page)]; *link != kNone;) {
      const std::uint32_t index = *link;
      Entry& entry = entries_[index];
      if (entry.page != page) {
        link = &entry.next;
        continue;
      }
      visit(entry.since, entry.network);
      *link = entry.next;
      entry.next = free_;
      free_ = index;
      --count_;
    }
  }

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  struct Entry {
    PageIndex page = 0;
    Nanos since = 0;
    std::uint32_t next = kNone;  // In its chain, or among the free ones.
    bool network = false;
  };

  std::size_t HeadOf(PageIndex page) const { return page & (heads_.size() - 1); }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> heads_;  // Per hash of the page.
  std::uint32_t free_ = kNone;
  std::size_t count_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_FAULT_WAITER_TABLE_H_
