#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <random>

#include "lib/push/pusher.h"
#include "test/support/fake_placement.h"
#include "test/support/fill.h"
#include "test/support/push_harness.h"

// Pushing into the destination's staging ring, which gives credit back.
namespace farfault {
namespace {

TEST_CASE("staged runs wait for credit and never overwrite what is not given back", "[push][staging]") {
  PushHarness harness({.direct = {false}, .staging_bytes = 1024});
  const auto pusher = harness.MakePusher({.window_bytes = 1u << 20, .batch_bytes = 512});
  pusher->StartPush();
  while (pusher->Poll()) harness.channels[0]->Complete();
  CHECK(pusher->counters().bytes_sent == 1024);
  CHECK(pusher->idle());
  CHECK(pusher->waits_for_credit());
  CHECK_FALSE(pusher->complete());
  harness.SetCredit(0, 512);
  while (pusher->Poll()) harness.channels[0]->Complete();
  CHECK(pusher->counters().bytes_sent == 1536);
  harness.SetCredit(0, 1536);
  CHECK(pusher->Poll());
  CHECK_FALSE(pusher->waits_for_credit());
}

// Gives back all credit as soon as everything has arrived, and checks the bytes in the ring.
void PushStaged(PushHarness& harness, Pusher& pusher) {
  StagingCursor cursor(harness.staging[0].size());
  for (int round = 0; round < 10000 && !pusher.complete(); ++round) {
    pusher.Poll();
    harness.channels[0]->Complete();
    for (const PostedList& list : harness.TakeLists()) {
      for (const PageRun& run : list.runs) {
        const std::uint64_t page_size = harness.layout.page_size(run.first);
        const std::uint64_t offset = cursor.Place(run.count * page_size);
        for (std::uint64_t i = 0; i < run.count; ++i) {
          REQUIRE(HasPattern(std::span(harness.staging[0]).subspan(offset + i * page_size, page_size), run.first + i));
        }
      }
    }
    harness.SetCredit(0, cursor.position());
  }
}

TEST_CASE("a staging ring smaller than a batch still takes the whole push", "[push][staging]") {
  const std::uint64_t ring = GENERATE(64u, 128u, 192u, 320u, 512u, 4096u);
  CAPTURE(ring);
  PushHarness harness({.direct = {false}, .staging_bytes = ring});
  // Fragments: runs of many lengths, so that the cursor comes to stand everywhere.
  for (const PageIndex page : {1u, 4u, 9u, 16u, 25u, 36u, 49u}) harness.Want(page);
  const auto pusher = harness.MakePusher({.window_bytes = 1u << 20, .batch_bytes = 256u << 10});
  pusher->StartPush();
  PushStaged(harness, *pusher);
  CHECK(pusher->complete());
  CHECK(pusher->counters().pages_sent == 57);
}

TEST_CASE("fragments of a run never overlap in the staging ring", "[push][staging]") {
  const std::uint64_t seed = GENERATE(range(1u, 101u));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  PushHarness harness({.regions = {{{0, 200}, 64}}, .direct = {false}, .staging_bytes = 64 * (2 + random() % 10)});
  std::uint64_t wanted = 0;
  for (PageIndex page = 0; page < 200; ++page) {
    if (random() % 4 != 0) continue;
    harness.Want(page);
    ++wanted;
  }
  const auto pusher = harness.MakePusher({.window_bytes = 1u << 20, .batch_bytes = 256u << 10});
  pusher->StartPush();
  PushStaged(harness, *pusher);
  CHECK(pusher->complete());
  CHECK(pusher->counters().pages_sent == 200 - wanted);
}

TEST_CASE("pages of two sizes share a staging ring", "[push][staging]") {
  PushHarness harness({.regions = {{{0, 13}, 64}, {{13, 3}, 1024}, {{16, 5}, 64}},
                       .direct = {false, false, false},
                       .staging_bytes = 1024});
  const auto pusher = harness.MakePusher({.window_bytes = 1u << 20, .batch_bytes = 256u << 10});
  pusher->StartPush();
  PushStaged(harness, *pusher);
  CHECK(pusher->complete());
  CHECK(pusher->counters().pages_sent == 21);
}

}  // namespace
}  // namespace farfault
