#include "lib/session/demand_arrivals.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <string>
#include <vector>

#include "lib/session/destination_engine.h"
#include "test/support/destination_harness.h"

namespace farfault {
namespace {

using Phase = DestinationPhase;

TEST_CASE("a direct page whose push is out is mapped when the push has landed, not before", "[destination]") {
  DestinationHarness harness({});
  harness.Activate(true);
  harness.SetClaim(5, Claim::kPosted);
  harness.feed.Fault(5);
  harness.Settle();
  SECTION("the read comes back first") {
    harness.Serve();
    CHECK(harness.state(5) == PageState::kArriving);
    CHECK_FALSE(harness.placement.mapped(5));
    harness.Push({{4, 3}});
    harness.Settle();
  }
  SECTION("the push lands first") {
    harness.Push({{4, 3}});
    harness.Settle();
    CHECK(harness.state(5) == PageState::kWantedArrived);
    CHECK_FALSE(harness.placement.mapped(5));
    harness.Serve();
  }
  CHECK(harness.guest_has(5));
  CHECK(harness.engine->Stats().duplicates == 1);
  CHECK(harness.engine->Stats().stall_network.count() == 1);
  CHECK(harness.engine->phase() == Phase::kRunning);
}

TEST_CASE("a staged page is mapped by whichever comes first, and the other changes nothing", "[destination]") {
  DestinationHarness harness({.direct = {false}});
  harness.Activate(true);
  harness.SetClaim(5, Claim::kPosted);
  harness.feed.Fault(5);
  harness.Settle();
  if (GENERATE(true, false)) harness.Push({{5, 1}});
  harness.Serve();
  CHECK(harness.guest_has(5));
  CHECK(harness.engine->phase() == Phase::kRunning);
}

TEST_CASE("a staged page that could not be mapped yet is never mapped as if it had landed in place", "[destination]") {
  DestinationHarness harness({.direct = {false}});
  harness.Activate(false);
  harness.feed.Fault(3);
  harness.Settle();
  harness.placement.RetryAlways(true);
  harness.demand.Complete();
  harness.engine->Poll();
  harness.feed.Fault(3);  // Another thread.
  for (int i = 0; i < 5; ++i) harness.engine->Poll();
  harness.placement.RetryAlways(false);
  harness.Serve();
  CHECK(harness.placement.violations() == std::vector<std::string>{});
  CHECK(harness.guest_has(3));
  CHECK(harness.engine->Stats().stall_network.count() == 2);
}

TEST_CASE("the rest is fetched with any number of slots", "[destination]") {
  DestinationHarness harness({.demand_slots = GENERATE(1u, 2u, 64u)});
  harness.Activate(false);
  harness.engine->FetchRest();
  harness.Serve();
  CHECK(harness.engine->phase() == Phase::kResident);
  CHECK(harness.engine->Stats().pages_fetched == 64);
  CHECK(harness.engine->Stats().pages_demanded == 0);
}

}  // namespace
}  // namespace farfault
