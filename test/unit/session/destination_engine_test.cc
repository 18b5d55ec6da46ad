#include "lib/session/destination_engine.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <vector>

#include "test/support/destination_harness.h"

namespace farfault {
namespace {

using Phase = DestinationPhase;

bool Sent(const std::vector<SentMessage>& messages, MessageType type) {
  for (const SentMessage& message : messages) {
    if (message.type == type) return true;
  }
  return false;
}

TEST_CASE("a mapping that has to be tried again keeps the engine awake", "[destination]") {
  const bool direct = GENERATE(true, false);
  CAPTURE(direct);
  DestinationHarness other({.direct = {direct}});
  SECTION("of a demanded page") {
    other.Activate(false);
    other.feed.Fault(3);
    other.Settle();
    other.placement.RetryAlways(true);
    other.demand.Complete();
  }
  SECTION("of a pushed page") {
    other.Activate(true);
    other.placement.RetryAlways(true);
    other.Push({{3, 1}});
    CHECK(other.engine->Poll());
    if (direct) other.feed.Fault(3);
  }
  for (int i = 0; i < 100; ++i) CHECK(other.engine->Poll());
  CHECK(other.engine->phase() == Phase::kRunning);
  other.placement.RetryAlways(false);
  other.Serve();
  CHECK(other.guest_has(3));
  const SessionStats stats = other.engine->Stats();
  CHECK(stats.stall_network.count() == stats.faults_network);
  CHECK(stats.stall_local.count() == stats.faults_local);
}

TEST_CASE("the session ends well when everything is here", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 8}, 64}}});
  harness.Activate(true);
  harness.SendRuns(MessageType::kHoles, {{6, 2}});
  harness.Push({{0, 6}});
  CHECK(Sent(harness.TakeSent(), MessageType::kResident));
  CHECK(harness.engine->phase() == Phase::kResident);
  SECTION("by a goodbye") { harness.Send(MessageType::kGoodbye); }
  SECTION("by the loss of the connection") { harness.control.Break(); }
  SECTION("although the source failed late") { harness.Send(MessageType::kFailure); }
  SECTION("although the source sends nonsense") { harness.Send(MessageType::kSwitchOver); }
  harness.Settle();
  CHECK(harness.engine->phase() == Phase::kDone);
  CHECK(harness.engine->all_mapped());
  harness.feed.Fault(7);
  harness.Settle();
  CHECK(harness.guest_has_zeros(7));
  harness.engine->Fail(absl::CancelledError("too late"));
  CHECK(harness.engine->phase() == Phase::kDone);
}

TEST_CASE("mapping goes on after the goodbye, and its failure is still told", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 8}, 64}}});
  harness.Activate(true);
  harness.placement.RetryAlways(true);
  harness.Push({{0, 8}});
  for (int i = 0; i < 10; ++i) harness.engine->Poll();
  REQUIRE(harness.engine->phase() == Phase::kResident);
  harness.Send(MessageType::kGoodbye);
  for (int i = 0; i < 10; ++i) harness.engine->Poll();
  REQUIRE(harness.engine->phase() == Phase::kDone);
  CHECK_FALSE(harness.engine->all_mapped());
  harness.placement.RetryAlways(false);
  SECTION("it goes well") {
    harness.feed.Fault(3);
    harness.Settle();
    CHECK(harness.engine->all_mapped());
    CHECK(harness.guest_has(3));
  }
  SECTION("the guest is gone") {
    harness.placement.Script({MapStatus::kGuestGone, 0});
    harness.Settle();
    CHECK(harness.engine->phase() == Phase::kFailed);
    CHECK(harness.engine->failure().code() == absl::StatusCode::kAborted);
  }
}

TEST_CASE("what the kernel refuses to map is told in the kernel's words", "[destination]") {
  DestinationHarness harness({.direct = {GENERATE(true, false)}});
  harness.Activate(true);
  SECTION("a demanded page") {
    harness.feed.Fault(3);
    harness.Settle();
  }
  SECTION("a page that was pushed") {
    harness.Push({{3, 1}});
    harness.placement.RetryAlways(true);
    harness.engine->Poll();
    harness.placement.RetryAlways(false);
    if (harness.placement.direct(3)) harness.feed.Fault(3);
  }
  SECTION("a hole") {
    harness.SendRuns(MessageType::kHoles, {{3, 1}});
    harness.Settle();
    harness.feed.Fault(3);
  }
  SECTION("a page that was mapped before") {
    harness.feed.Fault(3);
    harness.Serve();
    harness.feed.Fault(3);
  }
  SECTION("a page in the background") {
    harness.placement.RetryAlways(true);
    harness.Push({{3, 1}});
    harness.SendPushComplete(1);
    for (int i = 0; i < 3; ++i) harness.engine->Poll();
    harness.placement.RetryAlways(false);
  }
  harness.placement.FailWith(absl::ResourceExhaustedError("region 'ram': out of memory"));
  for (int i = 0; i < 10; ++i) {
    harness.demand.Complete();
    harness.engine->Poll();
  }
  CHECK(harness.engine->phase() == Phase::kFailed);
  CHECK(harness.engine->failure() == absl::ResourceExhaustedError("region 'ram': out of memory"));
}

}  // namespace
}  // namespace farfault
