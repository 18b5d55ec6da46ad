#ifndef FARFAULT_LIB_PAGE_PAGE_STATE_H_
#define FARFAULT_LIB_PAGE_PAGE_STATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace farfault {

/// What the destination knows of a page. The rule behind the table: a page is mapped only when no write to its
/// frame can still be on its way.
enum class PageState : std::uint8_t {
  kAbsent,         ///< Nothing here, nothing asked for.
  kWanted,         ///< A READ is out; no push of the page has arrived.
  kWantedArrived,  ///< A READ is out, and a push of the page has arrived: wait for the READ as well.
  kArriving,       ///< The READ is back and said that a push is out: wait for the run list.
  kLanded,         ///< The bytes are in the frame and nothing is on its way.
  kMapped,         ///< The guest may be using the frame.
  kHole,           ///< Zeros on demand, and no write on its way: never populated at the source, or discarded here.
};
inline constexpr std::size_t kPageStates = 7;

std::string_view PageStateName(PageState state);

namespace page_state_internal {

constexpr std::uint8_t Bit(PageState state) { return static_cast<std::uint8_t>(1u << static_cast<unsigned>(state)); }

// Row: from; bits: the states that may follow.
inline constexpr std::array<std::uint8_t, kPageStates> kMayFollow = [] {
  using enum PageState;
  std::array<std::uint8_t, kPageStates> table{};
  auto allow = [&table](PageState from, auto... to) { table[static_cast<std::size_t>(from)] = (Bit(to) | ...); };
  allow(kAbsent, kWanted, kLanded, kMapped, kHole);
  allow(kWanted, kWantedArrived, kArriving, kLanded);
  allow(kWantedArrived, kLanded);
  allow(kArriving, kLanded);
  allow(kLanded, kMapped, kAbsent, kHole);
  allow(kMapped, kAbsent);
  allow(kHole, kMapped, kLanded);
  return table;
}();

}  // namespace page_state_internal

constexpr bool MayFollow(PageState from, PageState to) {
  return (page_state_internal::kMayFollow[static_cast<std::size_t>(from)] & page_state_internal::Bit(to)) != 0;
}

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_PAGE_STATE_H_
