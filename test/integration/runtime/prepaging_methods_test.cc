#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "test/integration/runtime/whole_sessions.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"
#include "test/support/skip.h"

// Whole sessions between two mappings of this process that send memory before the switchover.
namespace farfault {
namespace {

TEST_CASE("pages that were sent before the switchover and stayed clean are local", "[fabrics]") {
  RequireDirtyTracking();
  const bool shared = GENERATE(true, false);
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  source.Fill(5);
  const SessionPair pair = MakePair(source, Pushing(false), destination, {});
  PrePageBudget budget;
  budget.time = absl::Seconds(20);
  budget.observe = absl::Milliseconds(10);
  const auto report = pair.source->PrePage(budget);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(report->pages_fresh == kPages);
  // Written between the last round and the switchover: must be forgotten at the destination.
  for (const std::size_t page : {0u, 17u, 4095u}) source.bytes()[page * kSmallPage] ^= std::byte{0xff};
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 2) == 0);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  const SessionStats stats = pair.destination->Stats();
  CHECK(stats.pages_stale == 3);
  CHECK(stats.pages_demanded == 3);
  CHECK(stats.pages_prepaged >= kPages);
  CheckBooks(stats);
}

TEST_CASE("all three methods together, with a guest that writes until the switchover", "[fabrics]") {
  RequireDirtyTracking();
  const bool shared = GENERATE(true, false);
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  source.Fill(6);
  const SessionPair pair = MakePair(source, Pushing(true), destination, {});
  std::atomic<bool> stop = false;
  std::thread guest([&] {
    std::mt19937_64 random(6);
    while (!stop) {
      // A hot sixteenth of the memory, and now and then anywhere.
      const std::size_t page = random() % 8 == 0 ? random() % kPages : random() % (kPages / 16);
      source.bytes()[page * kSmallPage + random() % kSmallPage] = static_cast<std::byte>(random());
      if (random() % 64 == 0) absl::SleepFor(absl::Microseconds(50));
    }
  });
  PrePageBudget budget;
  budget.bytes = 2 * kImage;
  budget.time = absl::Seconds(2);
  budget.observe = absl::Milliseconds(20);
  const auto report = pair.source->PrePage(budget);
  stop = true;
  guest.join();
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(report->pages_sent > 0);
  SwitchOverAndTouchAll(pair, destination, source);
}

TEST_CASE("with a budget for a small part, the part that the guest touches goes ahead", "[fabrics]") {
  RequireDirtyTracking();
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(9);
  // An eighth, all over the memory, in blocks of what the kernel may map around a page that is read. A sweep from the
  // first page on would meet an eighth of them.
  std::vector<std::size_t> touched;
  for (std::size_t page = 0; page < kPages; ++page) {
    if (page / 16 % 8 == 5) touched.push_back(page);
  }
  const SessionPair pair = MakePair(source, Pushing(false), destination, {});
  std::atomic<bool> stop = false;
  std::thread guest([&] {
    while (!stop) {
      for (const std::size_t page : touched) {
        static_cast<void>(*static_cast<const volatile std::byte*>(&source.bytes()[page * kSmallPage]));
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
  });
  PrePageBudget budget;
  budget.bytes = kImage / 8;
  budget.observe = absl::Milliseconds(500);
  const auto report = pair.source->PrePage(budget);
  stop = true;
  guest.join();
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(report->pages_sent <= kPages / 8);
  pair.SwitchOver();
  std::uint64_t wrong = 0;
  for (const std::size_t page : touched) {
    const std::size_t at = page * kSmallPage;
    if (std::memcmp(destination.bytes().data() + at, source.bytes().data() + at, kSmallPage) != 0) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(pair.destination->Stats().pages_demanded <= touched.size() / 10);
}

TEST_CASE("locked memory is pre-paged without access history, with a hint", "[fabrics]") {
  RequireDirtyTracking();
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(6);
  // Not mlock(): the sanitizers turn that into nothing.
  if (syscall(SYS_mlock, source.bytes().data(), kImage) != 0) SkipFor("mlock is not allowed here");
  SourceOptions options;
  std::atomic<bool> hinted = false;
  options.on_event = [&](const Event& event) {
    if (event.kind == EventKind::kHint && event.text.find("mlock") != std::string::npos) hinted = true;
  };
  const SessionPair pair = MakePair(source, std::move(options), destination, {});
  PrePageBudget budget;
  budget.bytes = kImage;
  const auto report = pair.source->PrePage(budget);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(hinted);
  CHECK(report->pages_fresh == kPages);
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 1) == 0);
}

TEST_CASE("critical ranges go first and alone when asked for", "[fabrics]") {
  RequireDirtyTracking();
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(7);
  const SessionPair pair = MakePair(source, Pushing(false), destination, {});
  PrePageBudget budget;
  budget.bytes = kImage;
  budget.critical = {{100, 50}, {3000, 1}};
  budget.critical_only = true;
  const auto report = pair.source->PrePage(budget);
  REQUIRE(report.ok());
  CHECK(report->pages_sent == 51);
  pair.SwitchOver();
  CHECK(destination.bytes()[120 * kSmallPage] == source.bytes()[120 * kSmallPage]);
  CHECK(destination.bytes()[3000 * kSmallPage] == source.bytes()[3000 * kSmallPage]);
  CHECK(pair.destination->Stats().faults_network == 0);
}

TEST_CASE("a dirty log of the caller's takes the place of tracking", "[fabrics]") {
  RequireDirtyTracking();
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(8);
  SourceOptions options = Pushing(true);
  options.track_dirty = false;
  options.track_history = false;
  const SessionPair pair = MakePair(source, std::move(options), destination, {});
  PrePageBudget budget;
  budget.bytes = 2 * kImage;
  REQUIRE(pair.source->PrePage(budget).ok());
  source.bytes()[9 * kSmallPage] ^= std::byte{0xff};
  const PageRun dirty{9, 1};
  REQUIRE(pair.source->ReportDirty(std::span(&dirty, 1)).ok());
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  CHECK(pair.destination->Stats().pages_stale == 1);
}

}  // namespace
}  // namespace farfault
