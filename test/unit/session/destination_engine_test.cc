#include "lib/session/destination_engine.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <vector>

#include "lib/push/run_list.h"
#include "test/support/destination_harness.h"
#include "test/support/fill.h"

namespace farfault {
namespace {

using Phase = DestinationEngine::Phase;
constexpr std::uint32_t kPrePaged = RunListHeader::kPrePaged;

bool Sent(const std::vector<SentMessage>& messages, MessageType type) {
  for (const SentMessage& message : messages) {
    if (message.type == type) return true;
  }
  return false;
}

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

TEST_CASE("stale runs are forgotten run by run inside their regions", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 8}, 64}, {{8, 8}, 64}}});
  harness.Push({{4, 4}, {8, 4}}, kPrePaged);
  harness.SendRuns(MessageType::kDirtyRuns, {{5, 6}});
  harness.placement.TakeCalls();
  harness.Activate(true);
  CHECK(harness.placement.TakeCalls() ==
        std::vector<FakePlacement::Call>{{PlacementCall::kForget, {5, 3}}, {PlacementCall::kForget, {8, 3}}});
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

TEST_CASE("the rest is fetched with any number of slots", "[destination]") {
  DestinationHarness harness({.demand_slots = GENERATE(1u, 2u, 64u)});
  harness.Activate(false);
  harness.engine->FetchRest();
  harness.Serve();
  CHECK(harness.engine->phase() == Phase::kResident);
  CHECK(harness.engine->Stats().pages_fetched == 64);
  CHECK(harness.engine->Stats().pages_demanded == 0);
}

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

TEST_CASE("the metadata of a page is what the destination keeps for it", "[destination]") {
  DestinationHarness harness({.regions = {{{0, 1u << 16}, 1}}, .chunk_pages = 512});
  CHECK(harness.engine->Stats().metadata_bytes_per_page > 1.1);
  CHECK(harness.engine->Stats().metadata_bytes_per_page < 1.2);
}

}  // namespace
}  // namespace farfault
