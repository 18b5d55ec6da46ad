#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <span>
#include <string>

#include "absl/strings/match.h"
#include "lib/session/destination_engine.h"
#include "test/support/destination_harness.h"

// What a destination makes of a source that hangs up, breaks, or makes no sense.
namespace farfault {
namespace {

using Phase = DestinationPhase;

void SendFailure(DestinationHarness& harness, const absl::Status& status) {
  harness.Send(MessageType::kFailure, EncodeFailure(status));
}

TEST_CASE("a lost source leaves the guest there only when it has not run here", "[destination]") {
  const bool ran_before = GENERATE(false, true);
  DestinationHarness harness({.runs_early = ran_before});
  bool runs_here = ran_before;
  SECTION("before the switchover, with the control channel") { harness.control.Break(); }
  SECTION("before the switchover, with the push channel") { harness.push[0]->Break(); }
  SECTION("after it") {
    harness.Activate(true);
    harness.demand.Break();
    runs_here = true;
  }
  for (int i = 0; i < 20; ++i) harness.engine->Poll();
  const std::string text(harness.engine->failure().message());
  INFO(text);
  CHECK(absl::StrContains(text, "may go on at the source") == !runs_here);
  CHECK(absl::StrContains(text, "then begin again") == !runs_here);
  CHECK(absl::StrContains(text, "stay parked: see at the source why it ended") == runs_here);
}

TEST_CASE("all that a source has sent before it died is taken in, and may have been all that was missing",
          "[destination]") {
  const bool direct = GENERATE(true, false);
  const bool all = GENERATE(true, false);
  CAPTURE(direct, all);
  DestinationHarness harness(
      {.regions = {{{0, 64}, 64}}, .direct = {direct}, .push_channels = 2, .staging_bytes = 4096});
  harness.Activate(true);
  harness.feed.Fault(40);
  harness.Settle();
  for (PageIndex page = 0; page < 32; page += 2) harness.Push({{page, 2}}, 0, 0);
  for (PageIndex page = 32; page < (all ? 64 : 62); page += 2) {
    if (page != 40) harness.Push({{page, 2}}, 0, 1);
  }
  harness.Push({{41, 1}}, 0, 1);
  harness.demand.Complete();
  SECTION("the control channel is seen to be lost") { harness.control.Break(); }
  SECTION("a push channel is") { harness.push[0]->Break(); }
  SECTION("all are") {
    for (auto& push : harness.push) push->Break();
    harness.demand.Break();
    harness.control.Break();
  }
  harness.Settle();
  INFO(harness.engine->failure().ToString());
  CHECK(harness.guest_has(40));
  if (all) {
    // While only a push channel is lost, the source may still say goodbye.
    const Phase phase = harness.engine->phase();
    CHECK((phase == Phase::kResident || phase == Phase::kDone));
    CHECK(harness.engine->all_mapped());
    CHECK(harness.guest_has(63));
  } else {
    CHECK(harness.engine->phase() == Phase::kFailed);
    CHECK(harness.engine->resident_pages() == 62);
    CHECK(absl::StrContains(harness.engine->failure().message(), "stay parked: see at the source why it ended"));
  }
}

TEST_CASE("pages that were READ before the source died are mapped, however many", "[destination]") {
  const bool push = GENERATE(false, true);
  DestinationHarness harness({.demand_slots = 64});
  harness.Activate(push);
  for (PageIndex page = 0; page < 64; ++page) harness.feed.Fault(page);
  harness.Settle();
  harness.demand.Complete();
  harness.demand.Break();
  harness.control.Break();
  harness.push[0]->Break();
  harness.Settle();
  INFO(harness.engine->failure().ToString());
  CHECK(harness.engine->phase() == Phase::kDone);
  CHECK(harness.engine->Stats().mapped_pages == 64);
}

TEST_CASE("a source that hangs up is quoted, whichever channel is seen to be lost first", "[destination]") {
  const bool running = GENERATE(false, true);
  CAPTURE(running);
  DestinationHarness harness({});
  if (running) {
    harness.Activate(true);
    harness.SendRuns(MessageType::kHoles, {{60, 4}});
  }
  SendFailure(harness, absl::ResourceExhaustedError("the cable was sold"));
  harness.push[0]->Break();
  if (running) harness.demand.Break();
  for (int i = 0; i < 20; ++i) harness.engine->Poll();
  INFO(harness.engine->failure().ToString());
  CHECK(absl::IsResourceExhausted(harness.engine->failure()));
  CHECK(absl::StrContains(harness.engine->failure().message(), "the cable was sold"));
}

TEST_CASE("a lost channel is not hushed up by a source that goes on talking", "[destination]") {
  DestinationHarness harness({});
  harness.push[0]->Break();
  int rounds = 0;
  for (; rounds < 100'000 && harness.engine->phase() == Phase::kWaiting; ++rounds) {
    harness.Send(MessageType::kDirtyRuns);
    harness.engine->Poll();
  }
  CHECK(harness.engine->phase() == Phase::kFailed);
  CHECK(absl::StrContains(harness.engine->failure().message(), "push channel"));
}

TEST_CASE("what makes no sense is nonsense, whatever else the source says", "[destination]") {
  DestinationHarness harness({});
  harness.Activate(true);
  REQUIRE(harness.push[0]->Deliver(std::as_bytes(std::span("garbage"))));
  harness.SendRuns(MessageType::kHoles, {{60, 4}});
  harness.control.Break();
  for (int i = 0; i < 20; ++i) harness.engine->Poll();
  CHECK(absl::IsDataLoss(harness.engine->failure()));
}

TEST_CASE("the channel that was lost first is named when all of them are", "[destination]") {
  DestinationHarness harness({});
  harness.Activate(true);
  harness.demand.Break();
  harness.push[0]->Break();
  harness.control.Break();
  harness.Settle();
  INFO(harness.engine->failure().ToString());
  CHECK(absl::StrContains(harness.engine->failure().message(), "the demand channel to the source is lost"));
}

TEST_CASE("a guest is not taken over from a source that is lost", "[destination]") {
  DestinationHarness harness({});
  harness.engine->AllowActivation();
  harness.SendRuns(MessageType::kDirtyRuns, {{0, 4}});
  harness.SendSwitchOver(true);
  SECTION("with its push channel") { harness.push[0]->Break(); }
  SECTION("with its demand channel") { harness.demand.Break(); }
  for (int i = 0; i < 20; ++i) harness.engine->Poll();
  CHECK(harness.engine->phase() == Phase::kFailed);
  CHECK_FALSE(harness.engine->guest_may_run());
  CHECK(absl::StrContains(harness.engine->failure().message(), "may go on at the source"));
}

TEST_CASE("whose source makes no sense is not told to begin again", "[destination]") {
  DestinationHarness harness({});
  SECTION("on the control channel") { REQUIRE(harness.control.Deliver(std::as_bytes(std::span("garbage")))); }
  SECTION("on a push channel") { REQUIRE(harness.push[0]->Deliver(std::as_bytes(std::span("garbage")))); }
  for (int i = 0; i < 20; ++i) harness.engine->Poll();
  const absl::Status& failure = harness.engine->failure();
  INFO(failure.ToString());
  CHECK(absl::IsDataLoss(failure));
  CHECK(absl::StrContains(failure.message(), "may go on at the source"));
  CHECK_FALSE(absl::StrContains(failure.message(), "begin again"));
}

}  // namespace
}  // namespace farfault
