#include "lib/session/fault_answerer.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <vector>

#include "lib/session/destination_engine.h"
#include "test/support/destination_harness.h"

namespace farfault {
namespace {

TEST_CASE("a fault is answered by one read of the page", "[destination]") {
  const bool direct = GENERATE(true, false);
  DestinationHarness harness({.direct = {direct}});
  harness.Activate(true);
  harness.feed.Fault(5);
  harness.Settle();
  CHECK(harness.state(5) == PageState::kWanted);
  harness.clock.Advance(1000);
  harness.Serve();
  CHECK(harness.guest_has(5));
  CHECK(harness.wanted(5));
  const SessionStats stats = harness.engine->Stats();
  CHECK(stats.faults_network == 1);
  CHECK(stats.pages_demanded == 1);
  CHECK(stats.stall_network.count() == 1);
  CHECK(stats.stall_network.max() == 1000);
  CHECK(stats.duplicates == 0);
  CHECK(stats.bytes_received == 64);
}

TEST_CASE("a fault on a page that has landed is local, and takes landed neighbours along", "[destination]") {
  DestinationHarness harness({});
  harness.Activate(true);
  harness.Push({{0, 6}});
  harness.Settle();
  harness.feed.Fault(1);
  harness.Settle();
  CHECK(harness.placement.TakeCalls() == std::vector<FakePlacement::Call>{{PlacementCall::kLanded, {0, 4}}});
  CHECK(harness.engine->Stats().faults_local == 1);
  CHECK(harness.engine->Stats().stall_local.count() == 1);
  CHECK(harness.engine->Stats().faults_network == 0);
}

TEST_CASE("threads that wait for one page share its read and are recorded one by one", "[destination]") {
  DestinationHarness harness({});
  harness.Activate(true);
  for (int i = 0; i < 3; ++i) harness.feed.Fault(9);
  harness.Settle();
  CHECK(harness.demand.outstanding() == 4);
  harness.Serve();
  CHECK(harness.engine->Stats().faults_network == 3);
  CHECK(harness.engine->Stats().stall_network.count() == 3);
}

TEST_CASE("a thread that faults again and again before the switchover takes one place among those that wait",
          "[destination]") {
  DestinationHarness harness({});
  for (std::size_t i = 0; i < 2 * FaultAnswerer::kPending; ++i) harness.feed.Fault(5);
  harness.feed.Fault(6);
  harness.Settle();
  CHECK(harness.feed.empty());
  CHECK(harness.engine->Stats().faults_network == 2);
  harness.Activate(false);
  harness.Serve();
  CHECK(harness.guest_has(5));
  CHECK(harness.guest_has(6));
}

TEST_CASE(
    "faults are left in the kernel until the switchover when the guest runs early, and nobody is to wake for them",
    "[destination]") {
  DestinationHarness harness({.runs_early = true});
  harness.feed.Fault(5);
  harness.Settle();
  CHECK_FALSE(harness.feed.empty());
  CHECK_FALSE(harness.engine->takes_faults());
  harness.Activate(true);
  CHECK(harness.engine->takes_faults());
  harness.Serve();
  CHECK(harness.guest_has(5));
  harness.engine->Fail(absl::CancelledError("over"));
  CHECK_FALSE(harness.engine->takes_faults());
}

TEST_CASE("nobody is to wake for faults that there is no room for", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 5000}, 16}}});
  for (PageIndex page = 0; page < 5000; ++page) harness.feed.Fault(page);
  CHECK(harness.engine->takes_faults());
  harness.Settle();
  CHECK_FALSE(harness.feed.empty());
  CHECK_FALSE(harness.engine->takes_faults());
  harness.Activate(false);
  harness.Serve();
  CHECK(harness.engine->takes_faults());
  CHECK(harness.engine->Stats().mapped_pages == 5000);
}

TEST_CASE("the order of first faults has every page once, however often threads ask", "[destination]") {
  DestinationHarness harness({.record_faults = true});
  for (int i = 0; i < 200; ++i) harness.feed.Fault(5);
  harness.Settle();
  harness.Activate(false);
  for (PageIndex page = 0; page < 64; ++page) {
    harness.feed.Fault(page);
    harness.feed.Fault(page);
    if (page % 8 == 7) harness.Serve();
  }
  std::vector<PageIndex> expected = {5};
  for (PageIndex page = 0; page < 64; ++page) {
    if (page != 5) expected.push_back(page);
  }
  CHECK(harness.engine->fault_order() == expected);
}

TEST_CASE("no stall is lost when many more threads wait than reads may be out", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 1000}, 16}}, .demand_slots = 2});
  harness.Activate(false);
  for (PageIndex page = 0; page < 1000; ++page) harness.feed.Fault(page);
  harness.Serve();
  CHECK(harness.engine->Stats().faults_network == 1000);
  CHECK(harness.engine->Stats().stall_network.count() == 1000);
  CHECK(harness.engine->Stats().mapped_pages == 1000);
}

TEST_CASE("more faults than the ring holds wait in the kernel, and none is lost", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 10000}, 8}}, .demand_slots = 4});
  harness.Activate(false);
  for (PageIndex page = 0; page < 10000; ++page) harness.feed.Fault(page);
  harness.Settle();
  CHECK_FALSE(harness.feed.empty());
  harness.Serve();
  CHECK(harness.engine->Stats().mapped_pages == 10000);
}

}  // namespace
}  // namespace farfault
