#include "lib/fault/mapper.h"

#include <catch2/catch_test_macros.hpp>
#include <vector>

#include "test/support/fake_placement.h"

namespace farfault {
namespace {

using Call = FakePlacement::Call;
using enum PlacementCall;

struct Harness {
  explicit Harness(std::uint32_t chunk_pages = 8, std::size_t around = 4)
      : layout({{{0, 20}, 64}, {{20, 16}, 64}}),
        table(layout.total_pages()),
        placement(layout, {.chunk_pages = chunk_pages}),
        mapper(layout, table, placement, around) {}

  void Land(PageRun run) {
    for (PageIndex page = run.first; page < run.end(); ++page) {
      REQUIRE(table.Move(page, PageState::kLanded));
      mapper.OnArrived(page);
    }
  }
  void Forget(PageIndex page) {
    REQUIRE(table.Move(page, PageState::kAbsent));
    mapper.OnForgotten(page);
  }
  // All background work that there is.
  void MapAll(bool sweep) {
    for (int i = 0; mapper.MapSome(sweep); ++i) REQUIRE(i < 1000);
  }

  PageLayout layout;
  PageTable table;
  FakePlacement placement;
  Mapper mapper;
};

TEST_CASE("a landed page is mapped with its landed neighbours inside the window", "[mapper]") {
  Harness harness;
  harness.Land({3, 8});  // Windows of four pages: 0-3, 4-7, 8-11.
  CHECK(harness.mapper.MapAround(5) == MapStatus::kOk);
  CHECK(harness.placement.TakeCalls() == std::vector<Call>{{kLanded, {4, 4}}});
  CHECK(harness.mapper.MapAround(3) == MapStatus::kOk);
  CHECK(harness.placement.TakeCalls() == std::vector<Call>{{kLanded, {3, 1}}});
  CHECK(harness.mapper.MapAround(10) == MapStatus::kOk);
  CHECK(harness.placement.TakeCalls() == std::vector<Call>{{kLanded, {8, 3}}});
  CHECK(harness.table.count(PageState::kMapped) == 8);
}

TEST_CASE("mapping around a page stays inside its region", "[mapper]") {
  Harness harness(0, 512);
  harness.Land({0, 36});
  CHECK(harness.mapper.MapAround(19) == MapStatus::kOk);
  CHECK(harness.mapper.MapAround(20) == MapStatus::kOk);
  CHECK(harness.placement.TakeCalls() == std::vector<Call>{{kLanded, {0, 20}}, {kLanded, {20, 16}}});
  CHECK(harness.placement.violations().empty());
}

TEST_CASE("a retry keeps what has been mapped and loses nothing", "[mapper]") {
  Harness harness;
  harness.Land({0, 4});
  harness.placement.Script({MapStatus::kRetry, 1});
  CHECK(harness.mapper.MapAround(2) == MapStatus::kRetry);
  CHECK(harness.table.state(0) == PageState::kMapped);
  CHECK(harness.table.state(2) == PageState::kLanded);
  CHECK(harness.mapper.status() == MapStatus::kOk);
  CHECK(harness.mapper.MapAround(2) == MapStatus::kOk);
  CHECK(harness.table.count(PageState::kMapped) == 4);
}

TEST_CASE("what the kernel refuses for good is told", "[mapper]") {
  for (const MapStatus status : {MapStatus::kGuestGone, MapStatus::kFailed}) {
    Harness harness;
    harness.Land({0, 4});
    harness.placement.Script({status, 1});
    CHECK(harness.mapper.MapAround(2) == status);
    CHECK(harness.mapper.status() == status);
    CHECK(harness.table.count(PageState::kMapped) == 1);
  }
}

TEST_CASE("a chunk is collapsed when the last of its pages arrives", "[mapper]") {
  Harness harness;
  harness.Land({8, 7});
  CHECK_FALSE(harness.mapper.MapSome(false));
  CHECK(harness.mapper.MapAround(8) == MapStatus::kOk);
  harness.placement.TakeCalls();
  harness.Land({15, 1});
  harness.MapAll(false);
  CHECK(harness.placement.TakeCalls() == std::vector<Call>{{kCollapse, {8, 8}}});
  CHECK(harness.table.count(PageState::kMapped) == 8);
  CHECK(harness.mapper.chunks_collapsed() == 1);
}

TEST_CASE("chunks are counted region by region, and an unfinished tail is none", "[mapper]") {
  Harness harness;
  harness.Land({0, 36});
  harness.MapAll(false);
  CHECK(harness.placement.TakeCalls() ==
        std::vector<Call>{{kCollapse, {0, 8}}, {kCollapse, {8, 8}}, {kCollapse, {20, 8}}, {kCollapse, {28, 8}}});
  CHECK(harness.table.count(PageState::kLanded) == 4);  // Pages 16 to 19.
  harness.MapAll(true);
  CHECK(harness.placement.TakeCalls() == std::vector<Call>{{kLanded, {16, 4}}});
  CHECK(harness.placement.violations().empty());
}

TEST_CASE("a chunk that the kernel does not collapse is mapped page by page", "[mapper]") {
  Harness harness;
  harness.placement.DeclineCollapses(true);
  harness.Land({0, 8});
  harness.MapAll(true);
  CHECK(harness.placement.TakeCalls() == std::vector<Call>{{kCollapse, {0, 8}}, {kLanded, {0, 8}}});
  CHECK(harness.mapper.collapses_declined() == 1);
  CHECK(harness.mapper.chunks_collapsed() == 0);
  CHECK(harness.table.count(PageState::kMapped) == 8);
}

TEST_CASE("a chunk with a page that has been forgotten is not collapsed until the page is back", "[mapper]") {
  Harness harness;
  harness.Land({0, 8});
  harness.Forget(3);
  harness.MapAll(false);
  CHECK(harness.placement.TakeCalls().empty());
  harness.Land({3, 1});
  harness.MapAll(false);
  CHECK(harness.placement.TakeCalls() == std::vector<Call>{{kCollapse, {0, 8}}});
}

TEST_CASE("a chunk that finishes again and again is collapsed once and crowds no other out", "[mapper]") {
  Harness harness;
  harness.Land({0, 8});
  for (int i = 0; i < 10; ++i) {
    harness.Forget(3);
    harness.Land({3, 1});
  }
  harness.Land({20, 16});
  harness.MapAll(false);
  CHECK(harness.placement.TakeCalls() ==
        std::vector<Call>{{kCollapse, {0, 8}}, {kCollapse, {20, 8}}, {kCollapse, {28, 8}}});
  CHECK(harness.mapper.chunks_collapsed() == 3);
}

TEST_CASE("the sweep maps what has landed anywhere, in slices", "[mapper]") {
  Harness harness(0);
  harness.Land({30, 2});
  CHECK_FALSE(harness.mapper.MapSome(false));
  harness.MapAll(true);
  harness.Land({2, 3});
  harness.Land({35, 1});
  harness.Land({19, 2});
  harness.MapAll(true);
  CHECK(harness.table.count(PageState::kLanded) == 0);
  CHECK(harness.table.count(PageState::kMapped) == 8);
  CHECK(harness.placement.violations().empty());
}

TEST_CASE("a sweep that the kernel asks to retry is not over", "[mapper]") {
  Harness harness(0);
  harness.Land({0, 4});
  harness.placement.Script({MapStatus::kRetry, 0});
  harness.placement.Script({MapStatus::kRetry, 2});
  CHECK(harness.mapper.MapSome(true));  // False would let the thread sleep with pages unmapped.
  CHECK(harness.mapper.MapSome(true));
  CHECK(harness.table.count(PageState::kMapped) == 2);
  CHECK(harness.mapper.MapSome(true));
  CHECK(harness.table.count(PageState::kMapped) == 4);
  CHECK_FALSE(harness.mapper.MapSome(true));
}

TEST_CASE("one slice of a sweep looks at a bounded stretch of a large memory", "[mapper]") {
  const PageLayout layout({{{0, 4u << 20}, 1}});
  PageTable table(layout.total_pages());
  FakePlacement placement(layout, {});
  Mapper mapper(layout, table, placement, 16);
  REQUIRE(table.Move((4u << 20) - 1, PageState::kLanded));
  // The first slices find nothing yet; they let faults in between.
  CHECK(mapper.MapSome(true));
  CHECK(placement.calls().empty());
  for (int i = 0; mapper.MapSome(true); ++i) REQUIRE(i < 1000);
  CHECK(table.count(PageState::kMapped) == 1);
}

TEST_CASE("a sweep that is refused stops", "[mapper]") {
  Harness harness(0);
  harness.Land({0, 4});
  harness.placement.Script({MapStatus::kFailed, 0});
  harness.mapper.MapSome(true);
  CHECK(harness.mapper.status() == MapStatus::kFailed);
}

}  // namespace
}  // namespace farfault
