#include "lib/page/extent_table.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace farfault {
namespace {

constexpr std::uint64_t kPages = 3000;

PageLayout OneRegion() { return PageLayout({{{0, kPages}, kSmallPage}}); }

TEST_CASE("a page leads to its extent, its key and its address", "[extents]") {
  ExtentTable table(OneRegion());
  CHECK_FALSE(table.Has(0));
  CHECK(table.Of(0).pages.count == 0);
  CHECK(table.Of(0).key == 0);
  REQUIRE(table.Add({{100, 2000}, 0x10000, 7}));
  REQUIRE(table.Add({{2100, 1}, 0x90000, 8}));
  CHECK_FALSE(table.Has(99));
  CHECK(table.Of(100).key == 7);
  CHECK(table.Of(2099).key == 7);
  CHECK(table.Of(2100).key == 8);
  CHECK_FALSE(table.Has(2101));
  CHECK(table.AddressOf(table.Of(101), 101, kSmallPage) == 0x11000);
  CHECK(table.pages() == 2001);
  CHECK(table.Missing() == std::vector<PageRun>{{0, 100}, {2101, kPages - 2101}});
  CHECK_FALSE(table.complete());
}

TEST_CASE("runs are cut where an extent or a stretch without one ends", "[extents]") {
  ExtentTable table(OneRegion());
  REQUIRE(table.Add({{10, 10}, 0x10000, 7}));
  REQUIRE(table.Add({{20, 10}, 0x1a000, 8}));
  CHECK(table.Clip({0, 100}) == PageRun{0, 10});
  CHECK(table.Clip({5, 3}) == PageRun{5, 3});
  CHECK(table.Clip({12, 100}) == PageRun{12, 8});
  CHECK(table.Clip({20, 3}) == PageRun{20, 3});
  CHECK(table.Clip({30, 70}) == PageRun{30, 70});
}

TEST_CASE("an extent that makes no sense changes nothing", "[extents]") {
  ExtentTable table(PageLayout({{{0, 10}, kSmallPage}, {{10, 4}, kHugePage}}));
  REQUIRE(table.Add({{2, 3}, 0x1000, 1}));
  CHECK_FALSE(table.Add({{4, 2}, 0x1000, 2}));   // Page 4 twice.
  CHECK_FALSE(table.Add({{0, 10}, 0x1000, 2}));  // Around it.
  CHECK_FALSE(table.Add({{9, 2}, 0x1000, 2}));   // Two regions.
  CHECK_FALSE(table.Add({{13, 2}, 0x1000, 2}));  // Behind the end.
  CHECK_FALSE(table.Add({{0, 0}, 0x1000, 2}));
  CHECK_FALSE(table.Add({{10, 4}, std::numeric_limits<std::uint64_t>::max() - kHugePage, 2}));
  CHECK(table.pages() == 3);
  CHECK(table.extents().size() == 1);
  CHECK(table.Missing() == std::vector<PageRun>{{0, 2}, {5, 5}, {10, 4}});
  REQUIRE(table.Add({{10, 4}, 0x1000, 2}));
  REQUIRE(table.Add({{0, 2}, 0x1000, 2}));
  REQUIRE(table.Add({{5, 5}, 0x1000, 2}));
  CHECK(table.complete());
  CHECK(table.Missing().empty());
}

TEST_CASE("a table takes as many extents as it says", "[extents]") {
  ExtentTable table(PageLayout({{{0, 2 * ExtentTable::kMaxExtents + 2}, kSmallPage}}));
  for (PageIndex page = 0; page < ExtentTable::kMaxExtents; ++page) {
    REQUIRE(table.Add({{2 * page, 1}, 0x1000, static_cast<std::uint32_t>(page)}));
  }
  CHECK(table.free_slots() == 0);
  CHECK_FALSE(table.Add({{2 * ExtentTable::kMaxExtents, 1}, 0x1000, 1}));
  CHECK(table.Of(2 * ExtentTable::kMaxExtents - 2).key == ExtentTable::kMaxExtents - 1);
}

TEST_CASE("whatever was added is found again, page by page", "[extents]") {
  for (std::uint32_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    ExtentTable table(OneRegion());
    std::vector<std::uint32_t> keys(kPages);
    for (std::uint32_t key = 1; key <= 40; ++key) {
      const PageRun run{random() % kPages, 1 + random() % (seed % 2 == 0 ? 1200 : 60)};
      bool free = run.end() <= kPages;
      for (PageIndex page = run.first; free && page < run.end(); ++page) free = keys[page] == 0;
      REQUIRE(table.Add({run, 0x1000, key}) == free);
      if (free) std::fill_n(keys.begin() + static_cast<std::ptrdiff_t>(run.first), run.count, key);
    }
    std::uint64_t missing = 0;
    for (const PageRun& run : table.Missing()) {
      missing += run.count;
      for (PageIndex page = run.first; page < run.end(); ++page) REQUIRE(keys[page] == 0);
    }
    CHECK(missing + table.pages() == kPages);
    for (PageIndex page = 0; page < kPages; ++page) REQUIRE(table.Of(page).key == keys[page]);
  }
}

}  // namespace
}  // namespace farfault
