// Peers that send anything at any time: whatever they do, an engine fails the session or ignores them. Every case is
// one seed; `farfault_unit_test "[fuzz]"` prints the seed of one that fails.
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "lib/session/destination_engine.h"
#include "lib/session/source_engine.h"
#include "test/support/destination_harness.h"
#include "test/support/manual_clock.h"
#include "test/support/push_harness.h"
#include "test/support/run_list_message.h"

namespace farfault {
namespace {

constexpr std::uint64_t kSeeds = 300;
constexpr int kSteps = 300;
constexpr std::uint64_t kPages = 64;

class Fuzzer {
 public:
  explicit Fuzzer(std::uint64_t seed) : random_(seed) {}

  std::uint64_t Below(std::uint64_t limit) { return random_() % limit; }
  bool OneIn(std::uint64_t n) { return Below(n) == 0; }

  // Mostly a page or two off the memory's ends, now and then anything.
  std::uint64_t Number() {
    switch (Below(8)) {
      case 0:
        return random_();
      case 1:
        return UINT64_MAX - Below(3);
      case 2:
        return kPages - 1 + Below(3);
      default:
        return Below(kPages);
    }
  }
  std::vector<std::byte> Bytes(std::size_t most) {
    std::vector<std::byte> bytes(Below(most + 1));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
    return bytes;
  }
  std::vector<PageRun> Runs(std::size_t most) {
    std::vector<PageRun> runs(Below(most + 1));
    for (PageRun& run : runs) {
      run = {Number(), OneIn(4) ? Number() : Below(6)};
      if (!OneIn(3)) run = {Below(kPages / 2), 1 + Below(kPages / 2)};
    }
    return runs;
  }
  void Mutate(std::vector<std::byte>& bytes) {
    for (std::uint64_t i = Below(4); i > 0 && !bytes.empty(); --i) {
      bytes[Below(bytes.size())] ^= static_cast<std::byte>(1u << Below(8));
    }
    if (OneIn(8)) bytes.resize(Below(bytes.size() + 4));
  }

  std::vector<std::byte> RunsPayload() {
    std::vector<WireRun> wire;
    for (const PageRun& run : Runs(5)) wire.push_back({run.first, run.count});
    const std::span<const std::byte> bytes = std::as_bytes(std::span(wire));
    return {bytes.begin(), bytes.end()};
  }
  std::vector<std::byte> ControlMessage(std::uint64_t lists_sent) {
    if (OneIn(10)) return Bytes(200);
    std::vector<std::byte> payload = OneIn(3) ? Bytes(100) : RunsPayload();
    const auto type = static_cast<MessageType>(OneIn(5) ? Below(70) : 32 + Below(8));
    const auto use = [&payload](const auto& value) {
      const auto bytes = std::as_bytes(std::span(&value, 1));
      payload.assign(bytes.begin(), bytes.end());
    };
    if (type == MessageType::kSwitchOver) {
      use(SwitchOverMessage{.lists_sent = {OneIn(4) ? Number() : lists_sent}, .push_enabled = !OneIn(4)});
    }
    if (type == MessageType::kPushComplete) use(PushCompleteMessage{{OneIn(4) ? Number() : lists_sent}});
    std::vector<std::byte> message = ControlBytes(type, payload);
    if (OneIn(8)) Mutate(message);
    return message;
  }

 private:
  std::mt19937_64 random_;
};

// One step of a source that follows the protocol as far as it likes.
void AttackDestination(Fuzzer& fuzz, DestinationHarness& harness, std::uint64_t& lists_sent) {
  switch (fuzz.Below(10)) {
    case 0:
      static_cast<void>(harness.control.Deliver(fuzz.ControlMessage(lists_sent)));
      break;
    case 1:
    case 2: {
      const bool next = !fuzz.OneIn(10);
      std::vector<std::byte> list = RunListMessage(next ? lists_sent + 1 : fuzz.Number(), fuzz.Runs(4),
                                                   static_cast<std::uint32_t>(fuzz.OneIn(10) ? fuzz.Below(8)
                                                                              : harness.engine->guest_may_run() ? 0
                                                                                                                : 1));
      if (fuzz.OneIn(10)) fuzz.Mutate(list);
      if (harness.push[0]->Deliver(list) && next) ++lists_sent;
      break;
    }
    case 3:
      harness.SetClaim(fuzz.Below(kPages), static_cast<Claim>(fuzz.OneIn(20) ? fuzz.Below(256) : fuzz.Below(4)));
      break;
    case 4:
      harness.feed.Fault(fuzz.Below(kPages));
      break;
    case 5: {
      const PageIndex page = fuzz.Below(kPages);
      if (fuzz.OneIn(3)) harness.feed.Discard({page, 1 + fuzz.Below(kPages - page)});
      break;
    }
    case 6:
      harness.demand.Complete(fuzz.Below(12));
      harness.push[0]->Complete();
      harness.control.Complete();
      break;
    case 7:
      harness.placement.RetryAlways(fuzz.OneIn(3));
      break;
    case 8:
      if (fuzz.OneIn(3)) harness.engine->AllowActivation();
      if (fuzz.OneIn(5)) harness.engine->FetchRest();
      break;
    default:
      if (!fuzz.OneIn(60)) break;
      if (fuzz.OneIn(2)) harness.demand.Break();
      if (fuzz.OneIn(2)) harness.control.Break();
      break;
  }
}

TEST_CASE("no source makes a destination crash, or map anything that it may not", "[fuzz][destination]") {
  std::uint64_t failed = 0;
  std::uint64_t ran = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    Fuzzer fuzz(seed);
    DestinationHarness harness({.regions = {{{0, 32}, 64}, {{32, 32}, 64}},
                                .direct = {true, !fuzz.OneIn(2)},
                                .demand_slots = static_cast<std::uint32_t>(1 + fuzz.Below(8)),
                                .chunk_pages = fuzz.OneIn(2) ? 8u : 0u,
                                .staging_bytes = 64 * (1 + fuzz.Below(40))});
    std::uint64_t lists_sent = 0;
    // Half of them behave at first, so that the later phases are reached.
    if (fuzz.OneIn(2)) harness.Activate(!fuzz.OneIn(3));
    for (int step = 0; step < kSteps; ++step) {
      const bool had_failed = harness.engine->phase() == DestinationEngine::Phase::kFailed;
      const bool may_run = harness.engine->guest_may_run();
      harness.placement.TakeCalls();
      AttackDestination(fuzz, harness, lists_sent);
      for (std::uint64_t polls = fuzz.Below(4); polls > 0; --polls) harness.engine->Poll();
      if (had_failed) REQUIRE(harness.placement.calls().empty());
      for (const FakePlacement::Call& call : harness.placement.calls()) {
        if (may_run || harness.engine->guest_may_run()) break;
        // Before the switchover nothing may be put where the guest would find it.
        REQUIRE((call.kind == PlacementCall::kKept || call.kind == PlacementCall::kForget));
      }
      REQUIRE(harness.placement.violations() == std::vector<std::string>{});
    }
    failed += harness.engine->phase() == DestinationEngine::Phase::kFailed ? 1u : 0u;
    ran += harness.engine->guest_may_run() ? 1u : 0u;
  }
  // The attack is worth its name, and reaches the phases in which the guest runs.
  CHECK(failed > kSeeds / 2);
  CHECK(ran > kSeeds / 4);
}

// Every request stays inside the memory that it names, and after the switchover no page is pushed twice.
class SourceChecker {
 public:
  explicit SourceChecker(PushHarness& push) : push_(push), pushed_(push.layout.total_pages()) {}

  void Check() {
    for (const ScriptedChannel::Posted& posted : push_.channels[0]->TakePosted()) {
      if (posted.request.opcode == Opcode::kSend) {
        CheckList(DecodeRunList(posted.bytes));
      } else {
        REQUIRE(posted.request.opcode == Opcode::kWrite);
        REQUIRE(InsideTarget(posted.request));
        REQUIRE(InsideMemory(posted.request));
      }
    }
  }

 private:
  bool InsideTarget(const WorkRequest& request) const {
    std::vector<RemoteMemory> targets = push_.destination.staging;
    for (const Extent& extent : push_.destination.frames.extents()) {
      const std::uint64_t bytes = extent.pages.count * push_.layout.page_size(extent.pages.first);
      targets.push_back({extent.address, bytes, extent.key});
    }
    return std::ranges::any_of(targets, [&request](const RemoteMemory& target) {
      return request.remote_address >= target.address &&
             request.remote_address - target.address + request.length <= target.length &&
             request.remote_key == target.key;
    });
  }
  bool InsideMemory(const WorkRequest& request) const {
    return std::ranges::any_of(push_.memory, [&request](const std::vector<std::byte>& memory) {
      return request.local >= memory.data() && request.local + request.length <= memory.data() + memory.size();
    });
  }
  void CheckList(const PostedList& list) {
    REQUIRE(list.header.number == ++lists_);
    REQUIRE(!list.runs.empty());
    for (const PageRun& run : list.runs) {
      REQUIRE(push_.layout.Contains(run));
      REQUIRE(push_.layout.ClipToRegion(run) == run);
      if ((list.header.flags & RunListHeader::kPrePaged) != 0) continue;
      REQUIRE(pushed_.NextSet(run.first, run.end()).count == 0);
      pushed_.SetRun(run);
    }
  }

  PushHarness& push_;
  PageBitmap pushed_;
  std::uint64_t lists_ = 0;
};

TEST_CASE("no destination makes a source crash, or write outside the frames", "[fuzz][source]") {
  std::uint64_t switched = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    Fuzzer fuzz(seed);
    PushHarness push({.regions = {{{0, 32}, 64}, {{32, 32}, 64}},
                      .direct = {true, !fuzz.OneIn(2)},
                      .staging_bytes = 64 * (1 + fuzz.Below(40))});
    ScriptedChannel control;
    std::vector<std::byte> buffers(ControlLink::kBufferBytes);
    ControlLink link(control, buffers, 3);
    const ManualClock clock;
    SourceEngine engine({push.layout, push.destination, link, push.tables(), push.resources(), push.predictor, clock},
                        {.window_bytes = 64 * (2 + fuzz.Below(60)), .batch_bytes = 64 * (1 + fuzz.Below(30))});
    SourceChecker checker(push);
    bool reached = false;
    for (int step = 0; step < kSteps; ++step) {
      switch (fuzz.Below(9)) {
        case 0: {
          // What is due, so that the later phases are reached; now and then anything.
          MessageType due = MessageType::kMayActivate;
          if (engine.phase() == SourceEngine::Phase::kSwitching) due = MessageType::kSwitchedOver;
          const bool behave = !fuzz.OneIn(20);
          if (behave && step > 10 && due == MessageType::kMayActivate) break;
          static_cast<void>(control.Deliver(behave ? ControlBytes(due) : fuzz.ControlMessage(0)));
          break;
        }
        case 1:
          push.Want(fuzz.Below(kPages));
          break;
        case 2:
          push.SetCredit(0, fuzz.OneIn(2) ? fuzz.Number() : fuzz.Below(10) * 64);
          break;
        case 3:
          push.SetHint(fuzz.Below(8), fuzz.OneIn(2) ? fuzz.Number() : Hint::Encode(fuzz.Number(), fuzz.Below(9)));
          break;
        case 4:
          push.channels[0]->Complete(fuzz.Below(20));
          control.Complete();
          break;
        case 5:
          push.predictor.answer = fuzz.Runs(5);
          break;
        case 6: {
          const PageIndex page = fuzz.Below(kPages);
          if (fuzz.OneIn(2)) engine.OfferPrePage(std::vector<PageRun>{{page, 1 + fuzz.Below(kPages - page)}});
          engine.MarkStale({page, 1});
          break;
        }
        case 7:
          if (step > 60) engine.BeginSwitchOver({{fuzz.Below(kPages), 1}}, {});
          engine.StartPush(std::vector<PageRun>{{fuzz.Below(kPages), 1}});
          break;
        default:
          break;
      }
      for (std::uint64_t polls = fuzz.Below(4); polls > 0; --polls) engine.Poll();
      checker.Check();
      reached |= engine.phase() == SourceEngine::Phase::kSwitchedOver;
    }
    switched += reached ? 1u : 0u;
  }
  CHECK(switched > kSeeds / 4);
}

}  // namespace
}  // namespace farfault
