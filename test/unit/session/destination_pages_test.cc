#include "lib/session/destination_pages.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <string>
#include <vector>

#include "lib/push/run_list.h"
#include "lib/session/destination_engine.h"
#include "test/support/destination_harness.h"

namespace farfault {
namespace {

using Phase = DestinationPhase;
constexpr std::uint32_t kPrePaged = RunListHeader::kPrePaged;

TEST_CASE("what the guest discards reads as zeros, and no late bytes revive it", "[destination][discard]") {
  const bool direct = GENERATE(true, false);
  CAPTURE(direct);
  DestinationHarness harness({.direct = {direct}});
  harness.Activate(true);
  const auto discard = [&harness](PageIndex page) {
    harness.placement.DiscardByGuest({page, 1});
    harness.feed.Discard({page, 1});
  };
  SECTION("absent, then pushed") {
    discard(3);
    harness.Settle();
    harness.Push({{3, 1}});
    harness.Settle();
    harness.feed.Fault(3);
  }
  SECTION("absent, then touched") {
    discard(3);
    harness.feed.Fault(3);
  }
  SECTION("absent, touched while the push is out") {
    harness.SetClaim(3, Claim::kPosted);
    discard(3);
    harness.feed.Fault(3);
    harness.Serve();
    harness.Push({{3, 1}});
  }
  SECTION("while its read is out") {
    harness.feed.Fault(3);
    harness.Settle();
    discard(3);
  }
  SECTION("while its read is back and could not be mapped yet") {
    harness.feed.Fault(3);
    harness.Settle();
    harness.demand.Complete();
    discard(3);
    harness.placement.RetryAlways(true);  // As the kernel does until the discard has been read.
    harness.engine->Poll();
    harness.placement.RetryAlways(false);
  }
  SECTION("while its read could not be mapped yet, and zeros were mapped for another thread") {
    harness.feed.Fault(3);
    harness.Settle();
    harness.placement.RetryAlways(true);
    harness.demand.Complete();
    harness.engine->Poll();
    discard(3);
    for (int i = 0; i < 2; ++i) harness.engine->Poll();
    REQUIRE(PageStateName(harness.state(3)) == "hole");
    harness.feed.Fault(3);
    harness.engine->Poll();
    harness.placement.RetryAlways(false);
    harness.placement.Script({MapStatus::kRetry, 0});  // The demanded page is put off once more.
    harness.engine->Poll();
    CHECK(PageStateName(harness.state(3)) == "mapped");
    discard(3);
    harness.Settle();
    CHECK_FALSE(harness.placement.mapped(3));
    harness.feed.Fault(3);
  }
  SECTION("while its push is awaited") {
    harness.SetClaim(3, Claim::kPosted);
    harness.feed.Fault(3);
    harness.Serve();
    discard(3);
    harness.Settle();
    harness.Push({{3, 1}});
    harness.Settle();
    harness.feed.Fault(3);
  }
  SECTION("landed") {
    harness.Push({{3, 1}});
    harness.Settle();
    discard(3);
    harness.feed.Fault(3);
  }
  SECTION("mapped") {
    harness.Push({{3, 1}});
    harness.feed.Fault(3);
    harness.Serve();
    discard(3);
    harness.feed.Fault(3);
  }
  harness.Serve();
  CHECK(harness.engine->failure().message() == "");
  CHECK(PageStateName(harness.state(3)) == "mapped");
  CHECK(harness.guest_has_zeros(3));
  CHECK(harness.placement.violations() == std::vector<std::string>{});
}

TEST_CASE("what is discarded before the switchover comes from the source all the same", "[destination][discard]") {
  const bool direct = GENERATE(true, false);
  DestinationHarness harness({.regions = {{{0, 8}, 64}}, .direct = {direct}});
  harness.Push({{0, 8}}, kPrePaged);
  harness.Settle();
  harness.placement.DiscardByGuest({2, 3});
  harness.feed.Discard({2, 3});
  harness.Settle();
  harness.Push({{4, 1}}, kPrePaged);
  harness.Settle();
  harness.placement.DiscardByGuest({4, 1});
  harness.feed.Fault(3);
  harness.Settle();
  CHECK(harness.feed.empty());
  harness.Activate(true);
  harness.SendPushComplete(2);
  harness.Serve();
  CHECK(harness.engine->phase() == Phase::kResident);
  for (PageIndex page = 0; page < 8; ++page) CHECK(harness.guest_has(page));
}

TEST_CASE("whoever takes over never finds a hole where the guest may have zeros already", "[destination]") {
  const bool direct = GENERATE(true, false);
  CAPTURE(direct);
  DestinationHarness harness({.direct = {direct}});
  harness.Activate(true);
  harness.SendRuns(MessageType::kHoles, {{3, 1}});
  harness.Settle();
  std::vector<PageState> seen;
  harness.placement.on_map_zeros = [&](PageRun run) { seen.push_back(harness.state(run.first)); };
  harness.placement.RetryAlways(true);
  harness.feed.Fault(3);
  harness.engine->Poll();
  CHECK(harness.state(3) == PageState::kHole);
  harness.placement.RetryAlways(false);
  harness.Settle();
  CHECK(harness.guest_has_zeros(3));
  REQUIRE(seen.size() >= 2);
  // Of staged pages the kernel tells.
  for (const PageState state : seen) CHECK(state == (direct ? PageState::kLanded : PageState::kHole));
}

TEST_CASE("the metadata of a page is what the destination keeps for it", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 1u << 16}, 1}}, .chunk_pages = 512});
  CHECK(harness.engine->Stats().metadata_bytes_per_page > 1.1);
  CHECK(harness.engine->Stats().metadata_bytes_per_page < 1.2);
}

}  // namespace
}  // namespace farfault
