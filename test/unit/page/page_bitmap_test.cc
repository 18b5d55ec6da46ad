#include "lib/page/page_bitmap.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <random>
#include <vector>

#include "test/support/fake_placement.h"

namespace farfault {
namespace {

PageRun Model(const std::vector<bool>& bits, PageIndex from, PageIndex end, bool value) {
  PageIndex first = from;
  while (first < end && bits[first] != value) ++first;
  PageIndex last = first;
  while (last < end && bits[last] == value) ++last;
  return last == first ? PageRun{} : PageRun{first, last - first};
}

PageRun RandomRun(std::mt19937_64& random, std::uint64_t pages) {
  const PageIndex first = random() % (pages + 1);
  return {first, random() % (pages - first + 1)};
}

TEST_CASE("a page bitmap behaves like a vector of bool", "[page][bitmap]") {
  const std::uint64_t pages = GENERATE(1u, 2u, 63u, 64u, 65u, 127u, 128u, 129u, 1000u);
  const std::uint64_t seed = GENERATE(range(1u, 6u));
  CAPTURE(pages, seed);
  std::mt19937_64 random(seed);
  PageBitmap bitmap(pages);
  std::vector<bool> model(pages);
  REQUIRE(bitmap.size() == pages);
  for (int step = 0; step < 500; ++step) {
    const PageRun run = RandomRun(random, pages);
    const PageIndex page = random() % pages;
    switch (random() % 5) {
      case 0:
        bitmap.SetRun(run);
        std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(run.first), run.count, true);
        break;
      case 1:
        bitmap.ClearRun(run);
        std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(run.first), run.count, false);
        break;
      case 2:
        bitmap.Set(page);
        model[page] = true;
        break;
      case 3:
        bitmap.Clear(page);
        model[page] = false;
        break;
      default:
        if (step % 50 != 0) break;
        bitmap.ClearAll();
        model.assign(pages, false);
        break;
    }
    REQUIRE(bitmap.Test(page) == model[page]);
    REQUIRE(bitmap.Count() == static_cast<std::uint64_t>(std::count(model.begin(), model.end(), true)));
    const PageRun range = RandomRun(random, pages);
    REQUIRE(bitmap.NextSet(range.first, range.end()) == Model(model, range.first, range.end(), true));
    REQUIRE(bitmap.NextClear(range.first, range.end()) == Model(model, range.first, range.end(), false));
    const std::uint64_t most = 1 + random() % 70;
    PageRun some = Model(model, range.first, range.end(), true);
    some.count = std::min(some.count, most);
    REQUIRE(bitmap.NextSet(range.first, range.end(), most) == some);
  }
}

TEST_CASE("an empty page bitmap has no runs", "[page][bitmap]") {
  const PageBitmap bitmap;
  CHECK(bitmap.size() == 0);
  CHECK(bitmap.Count() == 0);
  CHECK(bitmap.NextSet(0, 0) == PageRun{});
  CHECK(bitmap.NextClear(0, 0) == PageRun{});
}

TEST_CASE("bits behind the last page do not show", "[page][bitmap]") {
  PageBitmap bitmap(70);
  bitmap.SetRun({0, 70});
  CHECK(bitmap.NextClear(0, 70) == PageRun{});
  CHECK(bitmap.NextSet(0, 70) == PageRun{0, 70});
  bitmap.ClearAll();
  CHECK(bitmap.NextClear(65, 70) == PageRun{65, 5});
  CHECK(bitmap.size_bytes() == 16);
}

}  // namespace
}  // namespace farfault
