#include <sys/mman.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "lib/prepage/access_history.h"
#include "lib/prepage/dirty_tracker.h"
#include "test/integration/prepage/tracked_memory.h"

// Writers stamp pages without pause while a copy is kept up to date from what Collect says, as pre-paging does it. One
// missed write anywhere, and the copy is wrong in the end.
namespace farfault {
namespace {

struct Scenario {
  MemoryKind kind;
  bool history;  // Page-table entries are dropped again and again.
  bool discard;  // Writers also discard pages.
};

void Write(const TestRegion& region, std::uint64_t seed, bool discard, const std::atomic<bool>& stop) {
  std::mt19937_64 random(seed);
  while (!stop.load(std::memory_order_relaxed)) {
    // Now one page here and there, now a whole chunk, so that page tables become empty as well.
    const PageIndex page = random() % region.pages();
    if (random() % 64 == 0) {
      const PageIndex chunk = page / 512 * 512;
      for (PageIndex i = chunk; i < std::min(chunk + 512, region.pages()); ++i) region.counter(i).fetch_add(1);
    } else if (discard && random() % 16 == 0) {
      madvise(region.page(page), region.region().page_size, MADV_DONTNEED);
    } else {
      region.counter(page).fetch_add(1);
    }
    if (random() % 256 == 0) std::this_thread::yield();
  }
}

TEST_CASE("no write between Start and the last Collect is missed", "[dirty_tracker][soundness]") {
  const Scenario scenario =
      GENERATE(Scenario{MemoryKind::kShared, false, false}, Scenario{MemoryKind::kShared, true, false},
               Scenario{MemoryKind::kAnonymous, false, true}, Scenario{MemoryKind::kAnonymousHuge, false, false},
               Scenario{MemoryKind::kAnonymousHuge, false, true}, Scenario{MemoryKind::kHugetlb, true, false});
  const bool by_last = GENERATE(false, true);
  CAPTURE(MemoryKindName(scenario.kind), scenario.history, scenario.discard, by_last);
  const TestRegion region(scenario.kind, scenario.kind == MemoryKind::kHugetlb ? 16 : 8192);
  const GuestMemory memory = region.memory();
  const auto tracker = MakeTracker(memory);
  const auto history = AccessHistory::Create(memory);
  REQUIRE(history.ok());
  std::vector<std::uint64_t> copy(region.pages());
  std::atomic<bool> stop = false;

  std::vector<std::jthread> writers;
  for (std::uint64_t i = 0; i < 3; ++i) {
    writers.emplace_back([&, i] { Write(region, 100 + i, scenario.discard, stop); });
  }
  REQUIRE(tracker->Start().ok());
  for (PageIndex page = 0; page < region.pages(); ++page) copy[page] = region.counter(page);
  std::uint64_t collected = 0;
  const auto update = [&](const std::vector<PageRun>& dirty) {
    for (const PageIndex page : PagesOf(dirty)) {
      copy[page] = region.counter(page);
      ++collected;
    }
  };
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  int rounds = 0;
  // Long enough for every page to have been written about once, however slow the machine is.
  for (; collected < region.pages() || rounds < 10 || std::chrono::steady_clock::now() < until; ++rounds) {
    if (scenario.history && rounds % 2 == 0) REQUIRE((*history)->BeginRound().ok());
    update(Collect(*tracker));
    if (scenario.history && rounds % 2 == 1) REQUIRE((*history)->EndRound().ok());
  }
  stop = true;
  writers.clear();
  if (scenario.history) REQUIRE((*history)->BeginRound().ok());
  if (by_last) {
    PageBitmap sent(region.pages());
    sent.SetRun({0, region.pages()});
    std::vector<PageRun> dirty;
    REQUIRE(tracker->CollectLast(sent, &dirty).ok());
    update(dirty);
  } else {
    update(Collect(*tracker));
  }

  std::uint64_t wrong = 0;
  for (PageIndex page = 0; page < region.pages(); ++page) wrong += copy[page] != region.counter(page) ? 1u : 0u;
  CAPTURE(rounds);
  REQUIRE(wrong == 0);
}

}  // namespace
}  // namespace farfault
