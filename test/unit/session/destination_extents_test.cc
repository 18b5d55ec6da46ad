#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <vector>

#include "test/support/destination_harness.h"

// A source that has registered some of its memory: at the switchover the rest is holes.
namespace farfault {
namespace {

using Phase = DestinationEngine::Phase;

TEST_CASE("a page that the source has not offered is a hole, at once and without a READ", "[destination][extents]") {
  DestinationHarness harness({.offered = {{0, 10}, {20, 44}}});
  harness.feed.Fault(12);
  harness.Settle();
  CHECK(harness.state(12) == PageState::kAbsent);  // The guest runs at the source still, and may populate it.
  harness.Activate(true);
  CHECK(harness.demand.outstanding() == 0);
  CHECK(harness.guest_has_zeros(12));
  harness.feed.Fault(13);
  harness.Settle();
  CHECK(harness.guest_has_zeros(13));
  CHECK_FALSE(harness.wanted(13));
  harness.feed.Fault(9);
  harness.Serve();
  CHECK(harness.guest_has(9));
  CHECK(harness.engine->Stats().hole_pages == 2);
  // The source tells of them as well, and of the others.
  harness.SendRuns(MessageType::kHoles, {{10, 10}});
  harness.Settle();
  CHECK(harness.engine->Stats().hole_pages == 10);
}

TEST_CASE("what the source offers before the switchover is READ", "[destination][extents]") {
  DestinationHarness harness({.offered = {{0, 10}}});
  harness.SendExtents({{12, 2}, {30, 1}});
  harness.SendExtents({{40, 1}});
  harness.Settle();
  harness.Activate(false);
  for (const PageIndex page : std::vector<PageIndex>{12, 30, 40, 14}) harness.feed.Fault(page);
  harness.Serve();
  CHECK(harness.guest_has(12));
  CHECK(harness.guest_has(30));
  CHECK(harness.guest_has(40));
  CHECK(harness.guest_has_zeros(14));
}

TEST_CASE("reading ahead passes over what is not offered", "[destination][extents]") {
  DestinationHarness harness({.offered = {{0, 10}, {60, 4}}});
  harness.Activate(false);
  harness.engine->FetchRest();
  harness.Serve();
  CHECK(harness.engine->phase() == Phase::kResident);
  CHECK(harness.engine->Stats().pages_fetched == 14);
  CHECK(harness.engine->Stats().hole_pages == 50);
}

TEST_CASE("an offer that makes no sense, or comes too late, fails the session", "[destination][extents]") {
  DestinationHarness harness({.offered = {{0, 10}}});
  const bool late = GENERATE(true, false);
  if (late) {
    harness.Activate(false);
    harness.SendExtents({{20, 1}});
  } else {
    harness.SendExtents({{9, 2}});
  }
  harness.Settle();
  CHECK(harness.engine->phase() == Phase::kFailed);
  CHECK(absl::IsDataLoss(harness.engine->failure()));
}

}  // namespace
}  // namespace farfault
