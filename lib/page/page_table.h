#ifndef FARFAULT_LIB_PAGE_PAGE_TABLE_H_
#define FARFAULT_LIB_PAGE_PAGE_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "farfault/page.h"
#include "lib/page/page_state.h"

namespace farfault {

/// The destination's state of every page, one byte each, and how many pages are in each state. Every change is held
/// against the table of page_state.h. One thread.
class PageTable {
 public:
  explicit PageTable(std::uint64_t pages) : owned_(pages), states_(owned_) {
    static_assert(static_cast<int>(PageState::kAbsent) == 0);
    counts_[0] = pages;
  }
  /// In memory that outlives this object, and with what stands there: valid states that an earlier table has left. What
  /// was on its way then will not come any more.
  explicit PageTable(std::span<std::uint8_t> states) : states_(states) {
    for (std::uint8_t& byte : states_) {
      const auto state = static_cast<PageState>(byte);
      if (state != PageState::kLanded && state != PageState::kMapped && state != PageState::kHole) byte = 0;
      ++counts_[byte];
    }
  }
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  std::uint64_t size() const { return states_.size(); }
  std::size_t size_bytes() const { return states_.size(); }
  PageState state(PageIndex page) const { return static_cast<PageState>(states_[page]); }
  std::uint64_t count(PageState state) const { return counts_[static_cast<std::size_t>(state)]; }

  /// False, and nothing changed, when the table does not allow it: a bug or a peer that breaks the protocol.
  [[nodiscard]] bool Move(PageIndex page, PageState to) {
    const PageState from = state(page);
    if (!MayFollow(from, to)) return false;
    states_[page] = static_cast<std::uint8_t>(to);
    --counts_[static_cast<std::size_t>(from)];
    ++counts_[static_cast<std::size_t>(to)];
    return true;
  }

  /// The first run of at most `most` pages in state `wanted` inside [from, end), empty when there is none.
  PageRun NextRun(PageState wanted, PageIndex from, PageIndex end, std::uint64_t most) const {
    if (from >= end) return {};
    const void* found = std::memchr(states_.data() + from, static_cast<int>(wanted), end - from);
    if (found == nullptr) return {};
    const auto first = static_cast<PageIndex>(static_cast<const std::uint8_t*>(found) - states_.data());
    PageIndex last = first + 1;
    while (last < end && last - first < most && state(last) == wanted) ++last;
    return {first, last - first};
  }

 private:
  std::vector<std::uint8_t> owned_;
  std::span<std::uint8_t> states_;
  std::array<std::uint64_t, kPageStates> counts_{};
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_PAGE_TABLE_H_
