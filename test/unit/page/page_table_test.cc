#include "lib/page/page_table.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <random>
#include <vector>

#include "test/support/fake_placement.h"

namespace farfault {
namespace {

TEST_CASE("a page table starts with every page absent", "[page][table]") {
  const PageTable table(5);
  CHECK(table.size() == 5);
  CHECK(table.size_bytes() == 5);
  CHECK(table.count(PageState::kAbsent) == 5);
  CHECK(table.state(4) == PageState::kAbsent);
}

TEST_CASE("a page table refuses what its states do not allow and stays as it is", "[page][table]") {
  PageTable table(2);
  CHECK_FALSE(table.Move(0, PageState::kArriving));
  CHECK(table.state(0) == PageState::kAbsent);
  CHECK(table.count(PageState::kAbsent) == 2);
  CHECK(table.count(PageState::kArriving) == 0);
  CHECK(table.Move(0, PageState::kWanted));
  CHECK_FALSE(table.Move(0, PageState::kMapped));
  CHECK(table.state(0) == PageState::kWanted);
  CHECK(table.state(1) == PageState::kAbsent);
}

TEST_CASE("the counts and runs of a page table follow every move", "[page][table]") {
  const std::uint64_t seed = GENERATE(range(1u, 11u));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  constexpr std::uint64_t kPages = 100;
  PageTable table(kPages);
  std::vector<PageState> model(kPages, PageState::kAbsent);
  for (int step = 0; step < 3000; ++step) {
    const PageIndex page = random() % kPages;
    const auto to = static_cast<PageState>(random() % kPageStates);
    const bool allowed = MayFollow(model[page], to);
    REQUIRE(table.Move(page, to) == allowed);
    if (allowed) model[page] = to;
    REQUIRE(table.state(page) == model[page]);
    REQUIRE(table.count(to) == static_cast<std::uint64_t>(std::count(model.begin(), model.end(), to)));

    const PageIndex from = random() % (kPages + 1);
    const PageIndex end = from + random() % (kPages - from + 1);
    const std::uint64_t most = 1 + random() % 5;
    PageIndex first = from;
    while (first < end && model[first] != to) ++first;
    PageIndex last = first;
    while (last < end && last - first < most && model[last] == to) ++last;
    REQUIRE(table.NextRun(to, from, end, most) == (first == last ? PageRun{} : PageRun{first, last - first}));
  }
}

TEST_CASE("a page table goes on from what an earlier one has left, but for what was on its way", "[page][table]") {
  std::vector<std::uint8_t> memory(kPageStates);
  for (std::size_t i = 0; i < kPageStates; ++i) memory[i] = static_cast<std::uint8_t>(i);
  PageTable table(memory);
  CHECK(table.size() == kPageStates);
  CHECK(table.count(PageState::kAbsent) == 4);
  CHECK(table.state(static_cast<PageIndex>(PageState::kLanded)) == PageState::kLanded);
  CHECK(table.state(static_cast<PageIndex>(PageState::kMapped)) == PageState::kMapped);
  CHECK(table.state(static_cast<PageIndex>(PageState::kHole)) == PageState::kHole);
  CHECK(table.state(static_cast<PageIndex>(PageState::kArriving)) == PageState::kAbsent);
  REQUIRE(table.Move(0, PageState::kLanded));
  CHECK(memory[0] == static_cast<std::uint8_t>(PageState::kLanded));
}

}  // namespace
}  // namespace farfault
