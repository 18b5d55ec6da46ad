#include "lib/session/source_engine.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "test/support/destination_harness.h"
#include "test/support/fill.h"
#include "test/support/manual_clock.h"
#include "test/support/push_harness.h"

namespace farfault {
namespace {

using Phase = SourceEngine::Phase;

struct Harness {
  explicit Harness(PushOptions options = {.window_bytes = 2048, .batch_bytes = 1024}, PushHarness::Setup setup = {})
      : push(std::move(setup)),
        buffers(ControlLink::kBufferBytes),
        link(control, buffers, 3),
        engine(SourceEngine::World{push.layout, push.destination, link, push.tables(), push.resources(), push.predictor,
                                   clock},
               options) {}

  void Send(MessageType type, std::span<const std::byte> payload = {}) {
    REQUIRE(control.Deliver(ControlBytes(type, payload)));
  }
  // Completes everything that is posted, until nothing happens any more.
  void Settle() {
    for (int round = 0; round < 10000; ++round) {
      const bool progress = engine.Poll();
      for (const auto& channel : push.channels) channel->Complete();
      control.Complete();
      if (!progress && !engine.Poll()) return;
    }
    FAIL("the engine does not come to rest");
  }
  void SwitchOver(std::vector<PageRun> dirty = {}) {
    Send(MessageType::kMayActivate);
    Settle();
    engine.BeginSwitchOver(std::move(dirty), {});
    Settle();
    REQUIRE(engine.phase() == Phase::kSwitching);
    Send(MessageType::kSwitchedOver);
    Settle();
    REQUIRE(engine.phase() == Phase::kSwitchedOver);
  }
  std::vector<MessageType> TakeTypes() {
    std::vector<MessageType> types;
    for (const SentMessage& message : TakeMessages(control)) types.push_back(message.type);
    return types;
  }

  PushHarness push;
  ManualClock clock;
  ScriptedChannel control;
  std::vector<std::byte> buffers;
  ControlLink link;
  SourceEngine engine;
};

TEST_CASE("the source goes through a migration step by step", "[source]") {
  Harness harness;
  CHECK(harness.push.predictor.layout == std::vector<PageRun>{{0, 64}});
  const std::vector<PageRun> offers = {{0, 8}, {30, 2}};
  harness.engine.OfferPrePage(offers);
  CHECK_FALSE(harness.engine.prepaging_idle());
  harness.Settle();
  CHECK(harness.engine.prepaging_idle());
  CHECK(harness.engine.fresh().Count() == 10);
  harness.Send(MessageType::kMayActivate);
  harness.Settle();
  CHECK(harness.engine.phase() == Phase::kPrePaging);
  const std::vector<PageHeat> heat = {{7, 3}};
  harness.engine.BeginSwitchOver({{4, 2}}, heat);
  harness.Settle();
  CHECK(harness.push.predictor.history.size() == 1);
  const std::vector<SentMessage> sent = TakeMessages(harness.control);
  REQUIRE(sent.size() == 2);
  CHECK(sent[0].type == MessageType::kDirtyRuns);
  CHECK(sent[1].type == MessageType::kSwitchOver);
  SwitchOverMessage switch_over;
  REQUIRE(sent[1].payload.size() == sizeof(switch_over));
  std::memcpy(&switch_over, sent[1].payload.data(), sizeof(switch_over));
  CHECK(switch_over.push_enabled == 1);
  CHECK(switch_over.lists_sent[0] == 1);

  harness.Send(MessageType::kSwitchedOver);
  harness.Settle();
  CHECK(harness.engine.phase() == Phase::kSwitchedOver);
  // Until the holes are known only what has become stale.
  CHECK(harness.engine.Stats().pages_sent == 10 + 2);
  CHECK(harness.TakeTypes().empty());
  const std::vector<PageRun> holes = {{60, 4}};
  harness.engine.StartPush(holes);
  harness.engine.StartPush(holes);
  harness.Settle();
  CHECK(harness.TakeTypes() == std::vector<MessageType>{MessageType::kHoles, MessageType::kPushComplete});
  CHECK(harness.engine.Stats().hole_pages == 4);
  CHECK(harness.engine.Stats().pages_sent == 10 + 2 + 64 - 4 - 10);
  harness.Send(MessageType::kResident);
  harness.Settle();
  CHECK(harness.engine.phase() == Phase::kDrained);
  CHECK(harness.TakeTypes() == std::vector<MessageType>{MessageType::kGoodbye});
  harness.control.Break();
  harness.Settle();
  harness.engine.Fail(absl::CancelledError("too late"));
  CHECK(harness.engine.phase() == Phase::kDrained);
}

TEST_CASE("the switchover waits for pre-paging to land and for the destination to be ready", "[source]") {
  Harness harness;
  const std::vector<PageRun> offers = {{0, 64}};
  harness.engine.OfferPrePage(offers);
  harness.engine.Poll();
  harness.engine.BeginSwitchOver({}, {});
  const bool ready_first = GENERATE(true, false);
  if (ready_first) harness.Send(MessageType::kMayActivate);
  for (int i = 0; i < 5; ++i) harness.engine.Poll();
  CHECK(harness.engine.phase() == Phase::kDraining);
  harness.push.channels[0]->Complete();
  for (int i = 0; i < 5; ++i) harness.engine.Poll();
  if (!ready_first) {
    CHECK(harness.engine.phase() == Phase::kDraining);
    harness.Send(MessageType::kMayActivate);
    for (int i = 0; i < 5; ++i) harness.engine.Poll();
  }
  CHECK(harness.engine.phase() == Phase::kSwitching);
}

TEST_CASE("what is offered or becomes stale after the guest has stopped is not sent over its pages", "[source]") {
  Harness harness({.window_bytes = 512, .batch_bytes = 256});
  const std::vector<PageRun> all = {{0, 64}};
  harness.engine.OfferPrePage(std::vector<PageRun>{{0, 4}});
  harness.Settle();
  harness.SwitchOver();
  harness.engine.OfferPrePage(all);
  harness.engine.MarkStale({0, 4});
  harness.Settle();
  CHECK(harness.engine.Stats().pages_sent == 4);
  harness.engine.StartPush({});
  harness.engine.MarkStale({0, 4});
  harness.Settle();
  CHECK(harness.engine.Stats().pages_sent == 64);
}

TEST_CASE("without a push nothing is pushed, and the holes are told all the same", "[source]") {
  Harness harness({.enabled = false});
  harness.SwitchOver();
  harness.engine.StartPush(std::vector<PageRun>{{1, 1}});
  harness.TakeTypes();
  harness.Settle();
  CHECK(harness.engine.Stats().pages_sent == 0);
  harness.Send(MessageType::kResident);
  harness.Settle();
  CHECK(harness.engine.phase() == Phase::kDrained);
}

TEST_CASE("hints reach the predictor once and in order, and lost ones are counted", "[source]") {
  Harness harness({.enabled = false});
  harness.SwitchOver();
  const std::uint64_t slots = SourceTableLayout::kHintSlots;
  const auto write = [&harness](PageIndex page, std::uint64_t number) {
    harness.push.SetHint(number % slots, Hint::Encode(page, number));
  };
  write(5, 1);
  write(6, 2);
  harness.Settle();
  harness.Settle();
  CHECK(harness.push.predictor.faults == std::vector<PageIndex>{5, 6});
  // A hint out of order waits for the one before it.
  write(8, 4);
  harness.Settle();
  CHECK(harness.push.predictor.faults.size() == 2);
  write(7, 3);
  harness.Settle();
  CHECK(harness.push.predictor.faults == std::vector<PageIndex>{5, 6, 7, 8});
  // The destination laps the source: what was overwritten is lost, no more.
  for (std::uint64_t number = 5; number <= 4 + slots + 10; ++number) write(number % 64, number);
  harness.Settle();
  CHECK(harness.engine.Stats().hints_lost == slots);
  CHECK(harness.engine.Stats().hints_seen + harness.engine.Stats().hints_lost == 4 + slots + 10);
  // Pages outside the memory are not told.
  const std::size_t told = harness.push.predictor.faults.size();
  write(64, 4 + slots + 11);
  write(Hint::kPageMask, 4 + slots + 12);
  harness.Settle();
  CHECK(harness.push.predictor.faults.size() == told);
}

TEST_CASE("the source rests when the guest runs there and nothing is left to push or to say", "[source]") {
  const bool push = GENERATE(true, false);
  Harness harness({.enabled = push});
  CHECK_FALSE(harness.engine.at_rest());
  harness.SwitchOver();
  CHECK_FALSE(harness.engine.at_rest());  // What is a hole has not been told yet.
  harness.engine.StartPush(std::vector<PageRun>{{1, 1}});
  CHECK_FALSE(harness.engine.at_rest());
  harness.Settle();
  CHECK(harness.engine.Stats().pages_sent == (push ? 63 : 0));
  CHECK(harness.engine.at_rest());
  harness.Send(MessageType::kResident);
  harness.Settle();
  CHECK(harness.engine.phase() == Phase::kDrained);
  CHECK_FALSE(harness.engine.at_rest());
}

TEST_CASE("hints before the switchover and garbage in the ring do no harm", "[source]") {
  Harness harness;
  for (std::uint64_t slot = 0; slot < SourceTableLayout::kHintSlots; ++slot) {
    harness.push.SetHint(slot, 0x123456789abcdefULL * (slot + 1));
  }
  harness.Settle();
  CHECK(harness.push.predictor.faults.empty());
  harness.SwitchOver();
  harness.engine.StartPush({});
  harness.Settle();
  CHECK(harness.engine.Stats().pages_sent == 64);
  for (const PageIndex page : harness.push.predictor.faults) CHECK(page < 64);
}

TEST_CASE("whatever the destination sends at the wrong time fails the session", "[source]") {
  Harness harness;
  SECTION("switched over before it was asked") { harness.Send(MessageType::kSwitchedOver); }
  SECTION("resident before the switchover") { harness.Send(MessageType::kResident); }
  SECTION("ready twice") {
    harness.Send(MessageType::kMayActivate);
    harness.Send(MessageType::kMayActivate);
  }
  SECTION("a message for the other side") { harness.Send(MessageType::kGoodbye); }
  SECTION("a message that nobody knows") { harness.Send(static_cast<MessageType>(999)); }
  SECTION("a failure") { harness.Send(MessageType::kFailure); }
  SECTION("switched over twice") {
    harness.SwitchOver();
    harness.Send(MessageType::kSwitchedOver);
  }
  SECTION("garbage") { REQUIRE(harness.control.Deliver(std::as_bytes(std::span("garbage")))); }
  SECTION("a lost control channel") { harness.control.Break(); }
  SECTION("a lost push channel") { harness.push.channels[0]->Break(); }
  harness.control.TakePosted();
  for (int i = 0; i < 10; ++i) harness.engine.Poll();
  CHECK(harness.engine.phase() == Phase::kFailed);
  CHECK_FALSE(harness.engine.failure().ok());
  if (!harness.control.broken()) {
    harness.engine.Fail(absl::InternalError("another reason"));
    CHECK(harness.TakeTypes() == std::vector<MessageType>{MessageType::kFailure});
  }
  // A failed source hands nothing over and pushes nothing.
  harness.engine.OfferPrePage(std::vector<PageRun>{{0, 64}});
  harness.engine.BeginSwitchOver({}, {});
  harness.engine.StartPush({});
  const std::uint64_t sent = harness.engine.Stats().pages_sent;
  for (int i = 0; i < 10; ++i) harness.engine.Poll();
  CHECK(harness.engine.phase() == Phase::kFailed);
  CHECK(harness.engine.Stats().pages_sent == sent);
}

TEST_CASE("a destination that hangs up is quoted, whichever channel is seen to be lost first", "[source]") {
  Harness harness;
  harness.Send(MessageType::kMayActivate);
  harness.Send(MessageType::kFailure, EncodeFailure(absl::ResourceExhaustedError("the cable was sold")));
  harness.push.channels[0]->Break();
  for (int i = 0; i < 10; ++i) harness.engine.Poll();
  INFO(harness.engine.failure().ToString());
  CHECK(absl::IsResourceExhausted(harness.engine.failure()));
  CHECK(absl::StrContains(harness.engine.failure().message(), "the cable was sold"));
}

TEST_CASE("the source keeps less than three bytes per page", "[source]") {
  Harness harness({.window_bytes = 2048, .batch_bytes = 1024}, {.regions = {{{0, 1u << 16}, 1}}});
  CHECK(harness.engine.Stats().metadata_bytes_per_page > 2.0);
  CHECK(harness.engine.Stats().metadata_bytes_per_page < 3.0);
}

}  // namespace
}  // namespace farfault
