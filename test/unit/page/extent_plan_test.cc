#include "lib/page/extent_plan.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <random>
#include <vector>

#include "lib/page/page_bitmap.h"

namespace farfault {
namespace {

std::vector<PageRun> EverySecondPage(std::uint64_t pages) {
  std::vector<PageRun> runs;
  for (PageIndex page = 0; page < pages; page += 2) runs.push_back({page, 1});
  return runs;
}

TEST_CASE("data is registered and holes are not, however small", "[extents]") {
  const PageLayout layout({{{0, 1000}, kSmallPage}, {{1000, 8}, kHugePage}});
  const std::vector<PageRun> holes = {{1004, 4}, {10, 1}, {20, 500}};
  const std::vector<PageRun> planned = PlanOffer(layout, holes);
  CHECK(planned == std::vector<PageRun>{{0, 10}, {11, 9}, {520, 480}, {1000, 4}});
  CHECK(PlanOffer(layout, {}) == std::vector<PageRun>{{0, 1000}, {1000, 8}});
  const std::vector<PageRun> everything = {{0, 1000}, {1000, 8}};
  CHECK(PlanOffer(layout, everything).empty());
}

TEST_CASE("large extents are cut into pieces that many threads can register", "[extents]") {
  const std::uint64_t gib = (std::uint64_t{1} << 30) / kSmallPage;
  const std::vector<PageRun> planned = PlanOffer(PageLayout({{{0, gib}, kSmallPage}}), {});
  CHECK(planned.size() == 16);
  const std::uint64_t tebibytes = std::uint64_t{5} * 1024 * gib;
  const std::vector<PageRun> many = PlanOffer(PageLayout({{{0, tebibytes}, kSmallPage}}), {});
  CHECK(many.size() > 1000);
  CHECK(many.size() <= kMaxOfferedExtents);
  std::uint64_t pages = 0;
  for (const PageRun& run : many) pages += run.count;
  CHECK(pages == tebibytes);
}

TEST_CASE("in a fragmented memory the smallest holes are registered as well", "[extents]") {
  constexpr std::uint64_t kPages = 40000;
  const PageLayout layout({{{0, kPages}, kSmallPage}});
  std::vector<PageRun> holes;
  for (PageIndex page = 1; page + 1 < kPages / 2; page += 2) holes.push_back({page, 1});
  for (PageIndex page = kPages / 2; page + 20 < kPages; page += 40) holes.push_back({page, 20});
  const std::vector<PageRun> planned = PlanOffer(layout, holes);
  CHECK(planned.size() <= kMaxOfferedExtents);
  PageBitmap registered(kPages);
  for (const PageRun& run : planned) registered.SetRun(run);
  // The large ones take two slots each, and what is left goes to as many of the small ones.
  const std::uint64_t large = kPages / 2 / 40;
  const std::uint64_t small_left_out = (kMaxOfferedExtents - 2 - 2 * large) / 2;
  CHECK(registered.Count() == kPages - 20 * large - small_left_out);
  for (PageIndex page = kPages / 2; page + 20 < kPages; page += 40) {
    CHECK_FALSE(registered.Test(page));
    CHECK_FALSE(registered.Test(page + 19));
    CHECK(registered.Test(page + 30));
  }
}

// Data turns up in holes, round after round, and always finds room in the table.
TEST_CASE("whatever gets data later can be registered, in any order and however scattered", "[extents]") {
  for (std::uint32_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    constexpr std::uint64_t kPages = 60000;
    const PageLayout layout({{{0, kPages / 2}, kSmallPage}, {{kPages / 2, kPages / 2}, kSmallPage}});
    PageBitmap data(kPages);
    const auto populate = [&](std::uint64_t pieces) {
      for (; pieces > 0; --pieces) {
        const PageIndex first = random() % kPages;
        data.SetRun({first, std::min<std::uint64_t>(1 + random() % 3, kPages - first)});
      }
    };
    const auto holes = [&] {
      std::vector<PageRun> runs;
      for (PageIndex page = 0; page < kPages;) {
        const PageRun run = layout.ClipToRegion(data.NextClear(page, kPages, kPages));
        if (run.count == 0) break;
        runs.push_back(run);
        page = run.end();
      }
      return runs;
    };
    populate(random() % 5000);
    ExtentTable table(layout);
    for (const PageRun& run : PlanOffer(layout, holes())) REQUIRE(table.Add({run, 0, 1}));
    for (int round = 0; round < 25; ++round) {
      populate(1 + random() % 2000);
      const std::vector<PageRun> missing = table.Missing();
      REQUIRE(missing.size() <= table.free_slots());
      const std::vector<PageRun> late = PlanLate(layout, missing, holes(), table.free_slots());
      for (const PageRun& run : late) REQUIRE(table.Add({run, 0, 1}));
      for (PageIndex page = 0; page < kPages; ++page) REQUIRE((!data.Test(page) || table.Has(page)));
    }
  }
}

TEST_CASE("with few slots left the smallest holes are registered as well", "[extents]") {
  const std::vector<PageRun> stretches = {{0, 100}, {200, 100}, {400, 100}};
  const std::vector<PageRun> data = {{10, 1}, {50, 1}, {420, 1}};
  CHECK(PlanExtents(stretches, data, 9) == data);
  CHECK(PlanExtents(stretches, data, 7) == std::vector<PageRun>{{10, 41}, {420, 1}});
  CHECK(PlanExtents(stretches, data, 5) == std::vector<PageRun>{{0, 51}, {400, 21}});
  CHECK(PlanExtents(stretches, data, 4) == std::vector<PageRun>{{0, 100}, {400, 21}});
  CHECK(PlanExtents(stretches, data, 3) == std::vector<PageRun>{{0, 100}, {400, 100}});
  CHECK(PlanExtents(stretches, {}, 3).empty());
  CHECK(PlanExtents(stretches, EverySecondPage(100), 3) == std::vector<PageRun>{{0, 100}});
  CHECK(PlanExtents(stretches, EverySecondPage(100), 4) == std::vector<PageRun>{{0, 99}});
}

TEST_CASE("however short slots are, the largest holes stay out, also between data and among many stretches",
          "[extents]") {
  std::vector<PageRun> stretches;
  std::vector<PageRun> data;
  for (PageIndex first = 0; first < 1000; first += 10) {
    stretches.push_back({first, 8});
    data.push_back({first + 4, 1});
  }
  stretches.push_back({1000, 1000000});
  stretches.push_back({2000000, 1000000});
  data.insert(data.end(), {{1000, 1}, {1000999, 1}, {2000500, 1}});
  std::uint64_t registered = 0;
  const std::vector<PageRun> planned = PlanExtents(stretches, data, stretches.size() + 4);
  for (const PageRun& run : planned) registered += run.count;
  CHECK(registered == 100 * 8 + 2 + 1);
  CHECK(planned.size() + WithoutHoles(stretches, planned).size() <= stretches.size() + 4);
}

TEST_CASE("large extents that come late are cut as well, as far as there are slots", "[extents]") {
  const std::uint64_t gib = (std::uint64_t{1} << 30) / kSmallPage;
  const PageLayout layout({{{0, 2 * gib}, kSmallPage}});
  const std::vector<PageRun> missing = {{0, gib}, {gib + 10, gib - 10}};
  const std::vector<PageRun> holes = {{gib / 2, gib / 2}};
  CHECK(PlanLate(layout, missing, holes, 100).size() == 8 + 16);
  CHECK(PlanLate(layout, missing, holes, 3 + 2 * 5).size() == 2 + 5);
  CHECK(PlanLate(layout, missing, holes, 3) == std::vector<PageRun>{{0, gib / 2}, {gib + 10, gib - 10}});
  CHECK(PlanLate(layout, missing, missing, 100).empty());
}

TEST_CASE("holes are taken out of stretches wherever they lie", "[extents]") {
  const std::vector<PageRun> stretches = {{0, 10}, {20, 10}, {30, 10}};
  const std::vector<PageRun> holes = {{5, 20}, {24, 4}, {35, 1}, {39, 100}};
  CHECK(WithoutHoles(stretches, holes) == std::vector<PageRun>{{0, 5}, {28, 2}, {30, 5}, {36, 3}});
  CHECK(WithoutHoles(stretches, {}) == stretches);
  CHECK(WithoutHoles({}, holes).empty());
}

}  // namespace
}  // namespace farfault
