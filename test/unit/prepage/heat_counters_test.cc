#include "lib/prepage/heat_counters.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <random>
#include <vector>

namespace farfault {
namespace {

TEST_CASE("counters saturate and do not disturb their neighbours", "[heat_counters]") {
  HeatCounters heat(5);
  for (int i = 0; i < 20; ++i) heat.Count({2, 1});
  heat.Count({1, 2});
  heat.Count({4, 1});
  REQUIRE(heat.heat(0) == 0);
  REQUIRE(heat.heat(1) == 1);
  REQUIRE(heat.heat(2) == HeatCounters::kMax);
  REQUIRE(heat.heat(3) == 0);
  REQUIRE(heat.heat(4) == 1);
}

TEST_CASE("four bits per page", "[heat_counters]") {
  REQUIRE(HeatCounters(1u << 20).size_bytes() == 1u << 19);
  REQUIRE(HeatCounters(7).size_bytes() == 4);
}

TEST_CASE("the hottest come first, neighbours together, never more than asked for", "[heat_counters]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const std::uint64_t pages = 1 + random() % 2000;
    HeatCounters heat(pages);
    std::vector<std::uint32_t> expected(pages);
    for (int i = 0; i < 200; ++i) {
      const PageIndex first = random() % pages;
      const PageRun run{first, std::min<std::uint64_t>(random() % 50, pages - first)};
      heat.Count(run);
      for (PageIndex page = run.first; page < run.end(); ++page) {
        expected[page] = std::min(expected[page] + 1, HeatCounters::kMax);
      }
    }
    std::vector<PageHeat> sorted;
    for (PageIndex page = 0; page < pages; ++page) {
      if (expected[page] > 0) sorted.push_back({page, expected[page]});
    }
    std::ranges::sort(sorted, [](const PageHeat& a, const PageHeat& b) {
      return a.rounds_touched != b.rounds_touched ? a.rounds_touched > b.rounds_touched : a.page < b.page;
    });
    for (const std::size_t max :
         {std::size_t{0}, std::size_t{1}, sorted.size() / 2, sorted.size(), sorted.size() + 9}) {
      const std::vector<PageHeat> hottest = heat.HottestFirst(max);
      REQUIRE(hottest.size() == std::min(max, sorted.size()));
      for (std::size_t i = 0; i < hottest.size(); ++i) {
        REQUIRE(hottest[i].page == sorted[i].page);
        REQUIRE(hottest[i].rounds_touched == sorted[i].rounds_touched);
      }
    }
  }
}

}  // namespace
}  // namespace farfault
