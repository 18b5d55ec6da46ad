#include "lib/page/page_state.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <set>
#include <string>

namespace farfault {
namespace {

// What may follow, spelled out once more: a change of the table must be made twice, on purpose.
constexpr std::array<std::string_view, kPageStates> kRows = {
    //  to: absent wanted wanted-arrived arriving landed mapped hole
    ".W..LMH",  // absent
    "..AVL..",  // wanted
    "....L..",  // wanted-arrived
    "....L..",  // arriving
    "a....MH",  // landed
    "a......",  // mapped
    "....LM.",  // hole
};

TEST_CASE("the table of page states is exactly the documented one", "[page][state]") {
  for (std::size_t from = 0; from < kPageStates; ++from) {
    for (std::size_t to = 0; to < kPageStates; ++to) {
      CAPTURE(PageStateName(static_cast<PageState>(from)), PageStateName(static_cast<PageState>(to)));
      CHECK(MayFollow(static_cast<PageState>(from), static_cast<PageState>(to)) == (kRows[from][to] != '.'));
    }
  }
}

TEST_CASE("a page with a write on its way can't become mapped in one step", "[page][state]") {
  for (const PageState from : {PageState::kWanted, PageState::kWantedArrived, PageState::kArriving}) {
    CHECK_FALSE(MayFollow(from, PageState::kMapped));
    CHECK_FALSE(MayFollow(from, PageState::kAbsent));
  }
}

TEST_CASE("every page state has a name of its own", "[page][state]") {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kPageStates; ++i) names.insert(PageStateName(static_cast<PageState>(i)));
  CHECK(names.size() == kPageStates);
  CHECK_FALSE(names.contains("unknown"));
  CHECK(PageStateName(static_cast<PageState>(kPageStates)) == "unknown");
}

}  // namespace
}  // namespace farfault
