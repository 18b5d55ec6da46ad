#include "lib/runtime/pre_pager.h"

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "test/support/local_transport.h"
#include "test/support/manual_clock.h"
#include "test/support/memory_machine.h"
#include "test/support/push_harness.h"
#include "test/support/session_pair.h"

namespace farfault {
namespace {

// Private memory of which the first four pages are populated, at a source that pins what it registers.
struct Harness {
  Harness()
      : image({{.length = 64 * kSmallPage, .shared = false}}),
        core(image.memory(), TakeLease(image.memory()), {}),
        memory(core.memory, core.layout),
        push({}),
        buffers(ControlLink::kBufferBytes),
        link(control, buffers, 3),
        engine(SourceEngine::World{push.layout, push.destination, link, push.tables(), push.resources(), push.predictor,
                                   clock},
               {}),
        thread(MakeThread()),
        late_memory(core, memory, engine, *thread) {
    for (PageIndex page = 0; page < 4; ++page) image.bytes()[page * kSmallPage] = std::byte{1};
    auto local = std::make_unique<LocalTransport>();
    local->SayThatItPins();
    transport = local.get();
    core.transport = std::move(local);
    REQUIRE(memory.Register(*transport, {}).ok());
  }

  static MemoryLease TakeLease(const GuestMemory& memory) {
    auto lease = MemoryLease::Take(memory);
    REQUIRE(lease.ok());
    return *std::move(lease);
  }
  // It is not started: calls run at once.
  static std::unique_ptr<EngineThread> MakeThread() {
    auto thread = EngineThread::Create(
        {.name = "test", .spin = {}, .poll = [] { return EngineThread::Round::kIdle; }, .tick = [] {}}, {});
    REQUIRE(thread.ok());
    return *std::move(thread);
  }

  GuestImage image;
  SessionCore core;
  SourceMemory memory;
  LocalTransport* transport = nullptr;
  PushHarness push;
  ManualClock clock;
  ScriptedChannel control;
  std::vector<std::byte> buffers;
  ControlLink link;
  SourceEngine engine;
  std::unique_ptr<EngineThread> thread;
  LateMemory late_memory;
};

TEST_CASE("a first pre-paging for which too little memory may be pinned leaves the switchover possible") {
  RequireDirtyTracking();
  Harness harness;
  PrePager pre_pager(harness.core, harness.engine, *harness.thread, harness.late_memory, {}, absl::Seconds(1));
  PrePageBudget budget;
  budget.bytes = 64 * kSmallPage;
  budget.observe = absl::ZeroDuration();
  harness.transport->FailWith(absl::ResourceExhaustedError("no more may be locked"));
  REQUIRE(absl::IsResourceExhausted(pre_pager.Run(budget).status()));
  const absl::Status caught_up = harness.late_memory.CatchUp(LateMemory::Guest::kStopped);
  INFO(caught_up);
  CHECK(caught_up.ok());
  CHECK(harness.late_memory.Missing() == std::vector<PageRun>{{4, 60}});
  const auto dirty = pre_pager.LastDirty();
  REQUIRE(dirty.ok());
  CHECK(dirty->empty());
}

}  // namespace
}  // namespace farfault
