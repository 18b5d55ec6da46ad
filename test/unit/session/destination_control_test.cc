#include "lib/session/destination_control.h"

#include <catch2/catch_test_macros.hpp>
#include <span>
#include <vector>

#include "lib/push/run_list.h"
#include "lib/session/destination_engine.h"
#include "test/support/destination_harness.h"

namespace farfault {
namespace {

using Phase = DestinationPhase;
constexpr std::uint32_t kPrePaged = RunListHeader::kPrePaged;

TEST_CASE("the guest may run when source and user have both said so", "[destination]") {
  DestinationHarness harness({});
  harness.SendSwitchOver(true);
  CHECK(harness.TakeSent().empty());
  CHECK(harness.engine->phase() == Phase::kSwitchArrived);
  harness.engine->AllowActivation();
  harness.engine->AllowActivation();
  const std::vector<SentMessage> sent = harness.TakeSent();
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].type == MessageType::kMayActivate);
  CHECK(sent[1].type == MessageType::kSwitchedOver);
  CHECK(harness.engine->phase() == Phase::kRunning);
}

TEST_CASE("stale runs are forgotten run by run inside their regions", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 8}, 64}, {{8, 8}, 64}}});
  harness.Push({{4, 4}, {8, 4}}, kPrePaged);
  harness.SendRuns(MessageType::kDirtyRuns, {{5, 6}});
  harness.placement.TakeCalls();
  harness.Activate(true);
  CHECK(harness.placement.TakeCalls() ==
        std::vector<FakePlacement::Call>{{PlacementCall::kForget, {5, 3}}, {PlacementCall::kForget, {8, 3}}});
}

TEST_CASE("the guest counts as having run once stale pages are taken back, and before the source hears of it",
          "[destination]") {
  DestinationHarness* harness = nullptr;
  int calls = 0;
  std::vector<SentMessage> sent_before;
  PageState stale{};
  DestinationHarness made({.before_guest_runs = [&] {
    ++calls;
    sent_before = TakeMessages(harness->control);
    stale = harness->state(5);
    CHECK_FALSE(harness->engine->guest_may_run());
  }});
  harness = &made;
  made.Push({{4, 4}}, kPrePaged);
  made.Settle();
  made.engine->AllowActivation();
  made.Settle();
  CHECK(calls == 0);
  made.SendRuns(MessageType::kDirtyRuns, {{5, 1}});
  made.SendSwitchOver(true, 1);
  made.Settle();
  CHECK(calls == 1);
  CHECK(stale == PageState::kAbsent);
  REQUIRE(sent_before.size() == 1);
  CHECK(sent_before[0].type == MessageType::kMayActivate);
  CHECK(made.engine->guest_may_run());
  CHECK(calls == 1);
}

TEST_CASE("the switchover waits for run lists that were sent before it", "[destination]") {
  DestinationHarness harness({});
  harness.engine->AllowActivation();
  harness.SendRuns(MessageType::kDirtyRuns, {{0, 4}});
  harness.SendSwitchOver(true, 1);
  harness.Settle();
  CHECK(harness.engine->phase() == Phase::kSwitchArrived);
  harness.Push({{0, 8}}, kPrePaged);
  harness.Settle();
  CHECK(harness.engine->phase() == Phase::kRunning);
  CHECK(harness.state(3) == PageState::kAbsent);
  CHECK(harness.state(4) == PageState::kLanded);
}

TEST_CASE("holes read as zeros, and each fault is counted once", "[destination]") {
  DestinationHarness harness({});
  harness.Activate(true);
  harness.SendRuns(MessageType::kHoles, {{0, 10}, {60, 4}, {64, 0}});
  harness.Settle();
  CHECK(harness.engine->Stats().hole_pages == 14);
  harness.feed.Fault(3);
  harness.placement.Script({MapStatus::kRetry, 0});
  harness.Settle();
  CHECK(harness.guest_has_zeros(3));
  CHECK(harness.engine->Stats().faults_local == 1);
  CHECK(harness.engine->Stats().stall_local.count() == 1);
  CHECK(harness.engine->Stats().faults_network == 0);
}

TEST_CASE("a fault that waits for a slot while its page turns out to be a hole is counted once", "[destination]") {
  DestinationHarness harness({.demand_slots = 1});
  harness.Activate(true);
  harness.feed.Fault(20);
  harness.feed.Fault(3);
  harness.Settle();
  harness.SendRuns(MessageType::kHoles, {{3, 1}});
  harness.Settle();
  harness.Serve();
  CHECK(harness.guest_has_zeros(3));
  const SessionStats stats = harness.engine->Stats();
  CHECK(stats.faults_local + stats.faults_network == 2);
  CHECK(stats.stall_local.count() + stats.stall_network.count() == 2);
}

TEST_CASE("a hole as large as the memory is taken in slices, with faults in between", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 200000}, 1}}});
  harness.Activate(true);
  harness.SendRuns(MessageType::kHoles, {{0, 200000}});
  harness.engine->Poll();
  harness.engine->Poll();
  CHECK(harness.engine->Stats().hole_pages > 0);
  CHECK(harness.engine->Stats().hole_pages < 100000);
  harness.feed.Fault(199999);
  harness.engine->Poll();
  CHECK(harness.state(199999) == PageState::kWanted);
  harness.Serve();
  CHECK(harness.engine->Stats().hole_pages == 199999);
}

TEST_CASE("whatever the source sends at the wrong time or malformed fails the session and maps nothing",
          "[destination]") {
  DestinationHarness harness({});
  SwitchOverMessage switch_over;
  SECTION("holes before the switchover") { harness.SendRuns(MessageType::kHoles, {{0, 1}}); }
  SECTION("the end of the push before the switchover") { harness.SendPushComplete(0); }
  SECTION("a goodbye before the switchover") { harness.Send(MessageType::kGoodbye); }
  SECTION("a message for the other side") { harness.Send(MessageType::kResident); }
  SECTION("a message of the handshake") { harness.Send(MessageType::kHello); }
  SECTION("a message that nobody knows") { harness.Send(static_cast<MessageType>(999)); }
  SECTION("a short switchover") { harness.Send(MessageType::kSwitchOver, std::as_bytes(std::span("abc"))); }
  SECTION("half a dirty run") { harness.Send(MessageType::kDirtyRuns, std::as_bytes(std::span("abc"))); }
  SECTION("dirty runs outside the memory") { harness.SendRuns(MessageType::kDirtyRuns, {{0, 1}, {64, 1}}); }
  SECTION("dirty runs that wrap around") { harness.SendRuns(MessageType::kDirtyRuns, {{UINT64_MAX, 2}}); }
  SECTION("an empty dirty run") { harness.SendRuns(MessageType::kDirtyRuns, {{0, 0}}); }
  SECTION("more dirty pages than there are") { harness.SendRuns(MessageType::kDirtyRuns, {{0, 64}, {0, 1}}); }
  SECTION("a push before the switchover") { harness.Push({{0, 4}}); }
  SECTION("a run list of nonsense") { REQUIRE(harness.push[0]->Deliver(std::as_bytes(std::span("nonsense")))); }
  SECTION("a second switchover") {
    harness.Activate(true);
    harness.SendStruct(MessageType::kSwitchOver, switch_over);
  }
  SECTION("dirty runs after the switchover") {
    harness.Activate(true);
    harness.SendRuns(MessageType::kDirtyRuns, {{0, 1}});
  }
  SECTION("pre-paging after the switchover") {
    harness.Activate(true);
    harness.Push({{0, 4}}, kPrePaged);
  }
  SECTION("holes outside the memory") {
    harness.Activate(true);
    harness.SendRuns(MessageType::kHoles, {{63, 2}});
  }
  SECTION("more holes than there are pages") {
    harness.Activate(true);
    harness.SendRuns(MessageType::kHoles, {{0, 32}});
    harness.SendRuns(MessageType::kHoles, {{0, 33}});
  }
  SECTION("holes that wrap around") {
    harness.Activate(true);
    harness.SendRuns(MessageType::kHoles, {{2, UINT64_MAX}});
  }
  SECTION("half a hole") {
    harness.Activate(true);
    harness.Send(MessageType::kHoles, std::as_bytes(std::span("abc")));
  }
  SECTION("a short end of the push") {
    harness.Activate(true);
    harness.Send(MessageType::kPushComplete, std::as_bytes(std::span("abc")));
  }
  SECTION("a goodbye too early") {
    harness.Activate(true);
    harness.Send(MessageType::kGoodbye);
  }
  SECTION("a failure") {
    harness.Activate(true);
    harness.Send(MessageType::kFailure);
  }
  SECTION("garbage on the control channel") { REQUIRE(harness.control.Deliver(std::as_bytes(std::span("garbage")))); }
  SECTION("a lost control channel") { harness.control.Break(); }
  SECTION("a lost push channel") { harness.push[0]->Break(); }
  SECTION("a lost demand channel") {
    harness.Activate(true);
    harness.demand.Break();
  }
  SECTION("a page that is pushed twice") {
    harness.Activate(true);
    harness.Push({{0, 4}});
    harness.Push({{3, 1}});
  }
  SECTION("a claim that does not exist") {
    harness.Activate(true);
    harness.SetClaim(7, static_cast<Claim>(4));
    harness.feed.Fault(7);
    harness.Settle();
    harness.demand.Complete();
  }
  SECTION("no more faults from the kernel") {
    harness.Activate(true);
    harness.feed.AnswerWith(FeedStatus::kFailed);
  }
  SECTION("a guest that has exited") {
    harness.Activate(true);
    harness.feed.AnswerWith(FeedStatus::kGuestGone);
  }
  const std::uint64_t mapped = harness.engine->Stats().mapped_pages;
  for (int i = 0; i < 20; ++i) harness.engine->Poll();
  CHECK(harness.engine->phase() == Phase::kFailed);
  CHECK_FALSE(harness.engine->failure().ok());
  CHECK_FALSE(harness.engine->failure().message().empty());
  CHECK(harness.engine->Stats().mapped_pages == mapped);
  if (!harness.control.broken()) {
    std::size_t failures = 0;
    harness.engine->Fail(absl::InternalError("another reason"));
    for (const SentMessage& message : harness.TakeSent()) failures += message.type == MessageType::kFailure ? 1 : 0;
    CHECK(failures == 1);
  }
  CHECK_FALSE(harness.engine->Poll());
}

}  // namespace
}  // namespace farfault
