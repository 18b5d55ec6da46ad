#include "lib/page/page_layout.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdint>

#include "test/support/fake_placement.h"

namespace farfault {
namespace {

const PageLayout kTwo({{{0, 10}, kSmallPage}, {{10, 3}, kHugePage}});

TEST_CASE("a layout adds its regions up", "[page][layout]") {
  CHECK(kTwo.total_pages() == 13);
  CHECK(kTwo.total_bytes() == 10 * kSmallPage + 3 * kHugePage);
  CHECK(PageLayout().total_pages() == 0);
  CHECK(PageLayout().total_bytes() == 0);
}

TEST_CASE("a layout knows the region of a page", "[page][layout]") {
  CHECK(kTwo.RegionOf(0) == 0);
  CHECK(kTwo.RegionOf(9) == 0);
  CHECK(kTwo.RegionOf(10) == 1);
  CHECK(kTwo.RegionOf(12) == 1);
  CHECK(kTwo.page_size(9) == kSmallPage);
  CHECK(kTwo.page_size(10) == kHugePage);
}

TEST_CASE("bytes are counted in the smallest pages that there are", "[page][layout]") {
  CHECK(kTwo.MostPages(10 * kSmallPage + 1) == 10);
  CHECK(kTwo.MostPages(1) == 1);
  CHECK(PageLayout({{{0, 3}, kHugePage}}).MostPages(3 * kHugePage) == 3);
}

TEST_CASE("a run is inside a layout or it is not, however large its numbers", "[page][layout]") {
  CHECK(kTwo.Contains({0, 13}));
  CHECK(kTwo.Contains({12, 1}));
  CHECK(kTwo.Contains({13, 0}));
  CHECK_FALSE(kTwo.Contains({13, 1}));
  CHECK_FALSE(kTwo.Contains({0, 14}));
  CHECK_FALSE(kTwo.Contains({14, 0}));
  CHECK_FALSE(kTwo.Contains({UINT64_MAX, 1}));
  CHECK_FALSE(kTwo.Contains({1, UINT64_MAX}));
  CHECK_FALSE(kTwo.Contains({UINT64_MAX, UINT64_MAX}));
  CHECK_FALSE(kTwo.Contains({UINT64_MAX - 4, 10}));
  CHECK_FALSE(PageLayout().Contains({0, 1}));
}

TEST_CASE("a run is clipped where its first page's region ends", "[page][layout]") {
  CHECK(kTwo.ClipToRegion({2, 3}) == PageRun{2, 3});
  CHECK(kTwo.ClipToRegion({2, 11}) == PageRun{2, 8});
  CHECK(kTwo.ClipToRegion({9, 4}) == PageRun{9, 1});
  CHECK(kTwo.ClipToRegion({10, 3}) == PageRun{10, 3});
}

}  // namespace
}  // namespace farfault
