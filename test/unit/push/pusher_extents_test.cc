#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <vector>

#include "lib/push/pusher.h"
#include "test/support/fill.h"
#include "test/support/push_harness.h"

// Memory that is registered in several extents, with holes between them.
namespace farfault {
namespace {

constexpr PushOptions kSmall{.enabled = true, .window_bytes = 4096, .batch_bytes = 2048};
constexpr std::uint32_t kRingKey = 12;

// Of the source and of the destination: pages 40 to 49 are holes, and pages 50 to 63 have no frames.
PushHarness::Setup Extents() { return {.extents = {{0, 20}, {20, 20}, {50, 14}}, .frames = {{0, 30}, {30, 10}}}; }

void RunToEnd(PushHarness& harness, Pusher& pusher) {
  for (int round = 0; round < 1000; ++round) {
    const bool progress = pusher.Poll();
    harness.channels[0]->Complete();
    if (!progress && pusher.idle()) return;
  }
  FAIL("the push does not come to an end");
}

struct Written {
  PageRun run;
  std::uint32_t local_key = 0;
  std::uint32_t remote_key = 0;
};

std::vector<Written> TakeWrites(PushHarness& harness) {
  std::vector<Written> writes;
  for (const ScriptedChannel::Posted& posted : harness.channels[0]->TakePosted()) {
    const WorkRequest& request = posted.request;
    if (request.opcode != Opcode::kWrite) continue;
    const auto page = static_cast<PageIndex>(request.local - harness.memory[0].data()) / 64;
    writes.push_back({{page, request.length / 64}, request.local_key, request.remote_key});
  }
  return writes;
}

TEST_CASE("a WRITE stays inside one extent on either side and takes its keys", "[push][extents]") {
  PushHarness harness(Extents());
  const auto pusher = harness.MakePusher(kSmall);
  pusher->StartPush();
  RunToEnd(harness, *pusher);
  CHECK(pusher->complete());
  CHECK(pusher->counters().pages_sent == 54);
  std::uint64_t pages = 0;
  for (const Written& write : TakeWrites(harness)) {
    CAPTURE(write.run.first, write.run.count);
    CHECK(harness.local.Clip(write.run) == write.run);
    CHECK(harness.destination.frames.Clip(write.run) == write.run);
    CHECK(write.local_key == harness.local.Of(write.run.first).key);
    const Extent& frames = harness.destination.frames.Of(write.run.first);
    CHECK(write.remote_key == (frames.pages.count == 0 ? kRingKey : frames.key));
    pages += write.run.count;
  }
  CHECK(pages == 54);
  for (PageIndex page = 0; page < 40; ++page) CHECK(HasPattern(harness.frame(page), page));
  for (PageIndex page = 50; page < 64; ++page) {
    CHECK(HasPattern(std::span(harness.staging[0]).subspan((page - 50) * 64, 64), page));
  }
  CHECK(pusher->settled().Count() == 64);
}

TEST_CASE("what has no key is not pre-paged until it has one", "[push][prepage][extents]") {
  PushHarness harness(Extents());
  const auto pusher = harness.MakePusher(kSmall);
  pusher->Offer({36, 18});
  RunToEnd(harness, *pusher);
  CHECK(pusher->counters().pages_sent == 8);
  CHECK_FALSE(pusher->settled().Test(40));
  CHECK_FALSE(pusher->has_offers());
  TakeWrites(harness);

  std::byte* const at = harness.memory[0].data() + std::ptrdiff_t{42} * 64;
  REQUIRE(harness.local.Add({{42, 3}, reinterpret_cast<std::uint64_t>(at), 77}));
  pusher->Offer({36, 18});
  RunToEnd(harness, *pusher);
  const std::vector<Written> writes = TakeWrites(harness);
  REQUIRE(writes.size() == 1);
  CHECK(writes[0].run == PageRun{42, 3});
  CHECK(writes[0].local_key == 77);
  CHECK(writes[0].remote_key == kRingKey);
  CHECK(pusher->settled().Count() == 11);
}

}  // namespace
}  // namespace farfault
