#include "lib/session/push_arrivals.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "lib/push/run_list.h"
#include "lib/session/destination_engine.h"
#include "test/support/destination_harness.h"

namespace farfault {
namespace {

constexpr std::uint32_t kPrePaged = RunListHeader::kPrePaged;

TEST_CASE("pages that arrive while the ring of pending reads is full lose no fault", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 12000}, 8}}, .demand_slots = 2});
  harness.Activate(true);
  // Pages whose push is out, each with a thread that waits.
  for (PageIndex page = 0; page < 2000; ++page) {
    harness.SetClaim(page, Claim::kPosted);
    harness.feed.Fault(page);
  }
  harness.Serve();
  for (PageIndex page = 2000; page < 7000; ++page) harness.feed.Fault(page);
  harness.Settle();
  // They arrive while the kernel maps nothing: all of them have to be tried again.
  harness.placement.RetryAlways(true);
  harness.Push({{0, 2000}});
  for (int i = 0; i < 50; ++i) harness.engine->Poll();
  harness.placement.RetryAlways(false);
  harness.Serve();
  CHECK(harness.engine->Stats().mapped_pages == 7000);
}

TEST_CASE("as many faults as may wait do not keep the switchover from its run lists", "[destination]") {
  const bool direct = GENERATE(true, false);
  DestinationHarness harness({.regions = {{{0, 5000}, 64}}, .direct = {direct}});
  for (PageIndex page = 0; page < 4500; ++page) harness.feed.Fault(page);
  harness.Settle();
  harness.Push({{4800, 8}}, kPrePaged);
  harness.engine->AllowActivation();
  harness.SendSwitchOver(true, 1);
  harness.Settle();
  CHECK(harness.state(4800) == PageState::kLanded);
  CHECK(harness.engine->guest_may_run());
}

TEST_CASE("pre-paged pages are local after the switchover, unless they were written again", "[destination]") {
  const bool direct = GENERATE(true, false);
  DestinationHarness harness({.direct = {direct}});
  harness.Push({{0, 8}}, kPrePaged);
  harness.Settle();
  for (const PageIndex page : {2u, 3u, 6u}) harness.FillSource(page, 1);
  harness.SendRuns(MessageType::kDirtyRuns, {{2, 2}, {6, 1}, {20, 5}});
  harness.Activate(true);
  CHECK(harness.engine->Stats().pages_stale == 3);
  CHECK(harness.engine->Stats().pages_prepaged == 8);
  for (PageIndex page = 0; page < 8; ++page) harness.feed.Fault(page);
  harness.Serve();
  for (PageIndex page = 0; page < 8; ++page)
    CHECK(harness.guest_has(page, page == 2 || page == 3 || page == 6 ? 1 : 0));
  CHECK(harness.engine->Stats().faults_network == 3);
}

}  // namespace
}  // namespace farfault
