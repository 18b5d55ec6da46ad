#include "lib/prepage/prepage_plan.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <random>
#include <set>
#include <vector>

namespace farfault {
namespace {

using State = PrePagePlan::State;

const PageLayout kOneRegion({{{0, 1000}, kSmallPage}});

PageBitmap Fresh(const PageLayout& layout) { return PageBitmap(layout.total_pages()); }

std::vector<PageRun> SendRound(PrePagePlan& plan, PageBitmap& fresh, const std::vector<PageRun>& dirty = {}) {
  plan.NoteDirty(dirty);
  for (const PageRun& run : dirty) fresh.ClearRun(run);
  std::vector<PageRun> round = plan.NextRound(fresh, 0);
  for (const PageRun& run : round) fresh.SetRun(run);
  return round;
}

TEST_CASE("without history everything is sent once, ascending", "[prepage_plan]") {
  PageBitmap fresh = Fresh(kOneRegion);
  fresh.SetRun({100, 50});
  PrePagePlan plan(kOneRegion, {}, {}, {});
  REQUIRE(SendRound(plan, fresh) == std::vector<PageRun>{{0, 100}, {150, 850}});
  REQUIRE(plan.state() == State::kGoing);
  REQUIRE(SendRound(plan, fresh).empty());
  REQUIRE(plan.state() == State::kNothingLeft);
  REQUIRE(plan.rounds() == 1);
  REQUIRE(plan.bytes_offered() == 950 * kSmallPage);
}

TEST_CASE("critical ranges come first in the caller's order, then the hottest, then the rest; holes never",
          "[prepage_plan]") {
  PageBitmap fresh = Fresh(kOneRegion);
  const PrePageBudget budget{.critical = {{500, 10}, {20, 5}, {505, 10}, {2000, 5}, {995, 100}}};
  const std::vector<PageRun> holes{{507, 2}, {900, 50}};
  const std::vector<PageHeat> heat{{700, 9}, {701, 9}, {502, 8}, {5000, 7}, {910, 6}, {3, 5}};
  PrePagePlan plan(kOneRegion, budget, holes, heat);
  REQUIRE(SendRound(plan, fresh) == std::vector<PageRun>{{500, 7},
                                                         {509, 1},
                                                         {20, 5},
                                                         {510, 5},
                                                         {995, 5},
                                                         {700, 2},
                                                         {3, 1},
                                                         {0, 3},
                                                         {4, 16},
                                                         {25, 475},
                                                         {515, 185},
                                                         {702, 198},
                                                         {950, 45}});
}

TEST_CASE("critical only sends nothing else", "[prepage_plan]") {
  PageBitmap fresh = Fresh(kOneRegion);
  const PrePageBudget budget{.critical = {{10, 5}}, .critical_only = true};
  PrePagePlan plan(kOneRegion, budget, {}, std::vector<PageHeat>{{700, 9}});
  REQUIRE(SendRound(plan, fresh) == std::vector<PageRun>{{10, 5}});
  REQUIRE(SendRound(plan, fresh).empty());
  REQUIRE(plan.state() == State::kNothingLeft);
  PrePagePlan nothing(kOneRegion, {.critical = {}, .critical_only = true}, {}, {});
  REQUIRE(SendRound(nothing, fresh).empty());
  REQUIRE(nothing.state() == State::kNothingLeft);
}

TEST_CASE("bytes are never exceeded, and a budget below one page sends nothing", "[prepage_plan]") {
  PageBitmap fresh = Fresh(kOneRegion);
  PrePagePlan plan(kOneRegion, {.bytes = 10 * kSmallPage + 100, .critical = {}}, {}, {});
  REQUIRE(SendRound(plan, fresh) == std::vector<PageRun>{{0, 10}});
  REQUIRE(SendRound(plan, fresh, {{0, 5}}).empty());
  REQUIRE(plan.state() == State::kBytesSpent);
  PrePagePlan tiny(kOneRegion, {.bytes = 100, .critical = {}}, {}, {});
  REQUIRE(SendRound(tiny, fresh).empty());
  REQUIRE(tiny.state() == State::kBytesSpent);
}

TEST_CASE("time ends it", "[prepage_plan]") {
  PageBitmap fresh = Fresh(kOneRegion);
  PrePagePlan plan(kOneRegion, {.time = absl::Milliseconds(5), .critical = {}}, {}, {});
  REQUIRE_FALSE(plan.NextRound(fresh, 4'999'999).empty());
  REQUIRE(plan.NextRound(fresh, 5'000'000).empty());
  REQUIRE(plan.state() == State::kTimeSpent);
  REQUIRE(PrePageStateName(plan.state()) == "time spent");
}

TEST_CASE("rounds are bounded, and the order goes on where it was", "[prepage_plan]") {
  const PageLayout layout({{{0, 40000}, kSmallPage}});
  PageBitmap fresh = Fresh(layout);
  PrePagePlan plan(layout, {}, {}, {});
  PageIndex expected = 0;
  for (int round = 0; round < 3; ++round) {
    // The first page is written again, but its turn comes in the next pass.
    const std::vector<PageRun> runs = SendRound(plan, fresh, {{0, 1}});
    std::uint64_t pages = 0;
    for (const PageRun& run : runs) {
      REQUIRE(run.first == expected);
      expected = run.end();
      pages += run.count;
    }
    REQUIRE(pages * kSmallPage <= PrePagePlan::kRoundBytes);
  }
  REQUIRE(expected == 40000);
}

TEST_CASE("rounds are as long as looking is worth, never shorter than by default, and within the budget",
          "[prepage_plan]") {
  constexpr std::uint64_t kDefault = PrePagePlan::kRoundBytes / kSmallPage;
  constexpr std::uint64_t kMost = PrePagePlan::kMostRoundBytes / kSmallPage;
  const PageLayout layout({{{0, 2 * kMost}, kSmallPage}});
  PageBitmap fresh = Fresh(layout);
  PrePagePlan plan(layout, {.bytes = 2 * PrePagePlan::kMostRoundBytes - kSmallPage, .critical = {}}, {}, {});
  std::uint64_t left = 2 * kMost - 1;
  const auto next = [&] {
    std::uint64_t pages = 0;
    for (const PageRun& run : SendRound(plan, fresh, {})) pages += run.count;
    left -= pages;
    return pages;
  };
  CHECK(next() == kDefault);
  // Sent in ten times as long as the look took: twice as much makes it twenty times.
  plan.NoteCost(1'000'000, 10'000'000, PrePagePlan::kRoundBytes);
  CHECK(next() == 2 * kDefault);
  // Of few bytes nothing is learned.
  plan.NoteCost(1'000'000, 1, PrePagePlan::kRoundBytes - 1);
  CHECK(next() == 2 * kDefault);
  plan.NoteCost(0, 0, PrePagePlan::kRoundBytes);
  CHECK(next() == kDefault);
  plan.NoteCost(60'000'000'000, 0, std::uint64_t{1} << 62);
  CHECK(next() == kMost);
  const std::uint64_t rest = left;
  CHECK(next() == rest);
  CHECK(rest > kDefault);
  CHECK(next() == 0);
  CHECK(plan.state() == State::kBytesSpent);
}

TEST_CASE("a page that is written in every round is sent at most once more, at the end", "[prepage_plan]") {
  PageBitmap fresh = Fresh(kOneRegion);
  PrePagePlan plan(kOneRegion, {}, {}, {});
  const std::vector<PageRun> hot{{300, 5}};
  REQUIRE(SendRound(plan, fresh, hot) == std::vector<PageRun>{{0, 1000}});
  // Written in two rounds by now. Nothing else is left: the last pass.
  REQUIRE(SendRound(plan, fresh, hot) == hot);
  REQUIRE(SendRound(plan, fresh, hot).empty());
  REQUIRE(plan.state() == State::kNoProgress);
  REQUIRE(plan.bytes_offered() == 1005 * kSmallPage);
}

TEST_CASE("pages written all the time wait until the others are fresh", "[prepage_plan]") {
  PageBitmap fresh = Fresh(kOneRegion);
  PrePagePlan plan(kOneRegion, {.critical = {{998, 1}}}, {}, {});
  plan.NoteDirty(std::vector<PageRun>{{5, 1}, {998, 1}});
  // Critical pages are sent first all the same.
  REQUIRE(SendRound(plan, fresh, {{5, 1}, {998, 1}}) == std::vector<PageRun>{{998, 1}, {0, 5}, {6, 992}, {999, 1}});
  REQUIRE(SendRound(plan, fresh, {{70, 2}}) == std::vector<PageRun>{{5, 1}, {70, 2}});
  REQUIRE(SendRound(plan, fresh).empty());
  REQUIRE(plan.state() == State::kNothingLeft);
}

TEST_CASE("it ends when the guest writes as fast as pages are sent", "[prepage_plan]") {
  PageBitmap fresh = Fresh(kOneRegion);
  PrePagePlan plan(kOneRegion, {}, {}, {});
  std::size_t rounds = 0;
  // Each round other pages, so that none counts as written all the time.
  while (!SendRound(plan, fresh, {{rounds % 2 == 0 ? 0u : 500u, 500}}).empty()) REQUIRE(++rounds < 10);
  REQUIRE(plan.state() == State::kNoProgress);
}

TEST_CASE("the plan is small however scattered the history", "[prepage_plan]") {
  const PageLayout layout({{{0, 1u << 20}, kSmallPage}});
  std::vector<PageHeat> heat;
  for (PageIndex page = 0; page < layout.total_pages(); page += 2) heat.push_back({page, 3});
  const PrePagePlan plan(layout, {}, {}, heat);
  REQUIRE(static_cast<double>(plan.size_bytes()) / static_cast<double>(layout.total_pages()) < 1.3);
}

// Whatever the guest does: runs are sound, only pages that are not fresh are sent, none twice in a round, the budget
// holds, and it ends.
TEST_CASE("random guests", "[prepage_plan]") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<PageLayout::RegionPages> regions;
    PageIndex total = 0;
    for (std::size_t i = 0; i <= random() % 4; ++i) {
      const bool huge = random() % 4 == 0;
      regions.push_back({{total, 1 + random() % (huge ? 60 : 2000)}, huge ? kHugePage : kSmallPage});
      total = regions.back().pages.end();
    }
    const PageLayout layout(regions);
    const auto some_runs = [&](std::size_t most) {
      std::vector<PageRun> runs;
      for (std::size_t i = 0; i < random() % (most + 1); ++i) {
        const PageIndex first = random() % total;
        runs.push_back({first, 1 + random() % std::min<std::uint64_t>(40, total - first)});
      }
      return runs;
    };
    PrePageBudget budget{.bytes = random() % 2 == 0 ? 0 : 1 + random() % (2 * layout.total_bytes()),
                         .critical = some_runs(4),
                         .critical_only = random() % 4 == 0};
    const std::vector<PageRun> holes = some_runs(4);
    std::vector<PageHeat> heat;
    for (std::size_t i = 0; i < random() % 100; ++i) heat.push_back({random() % (total + 3), 1});
    PrePagePlan plan(layout, budget, holes, heat);

    PageBitmap fresh(total);
    PageBitmap hole(total);
    for (const PageRun& run : holes) hole.SetRun(run);
    PageBitmap critical(total);
    for (const PageRun& run : budget.critical) critical.SetRun(run);
    std::uint64_t bytes = 0;
    std::size_t rounds = 0;
    // In the end the guest calms down.
    for (;; ++rounds) {
      REQUIRE(rounds < 500);
      const std::vector<PageRun> dirty = rounds < 60 ? some_runs(20) : std::vector<PageRun>{};
      plan.NoteDirty(dirty);
      for (const PageRun& run : dirty) fresh.ClearRun(run);
      const std::vector<PageRun> round = plan.NextRound(fresh, 0);
      if (round.empty()) break;
      std::uint64_t round_bytes = 0;
      for (const PageRun& run : round) {
        REQUIRE(run.count > 0);
        REQUIRE(layout.Contains(run));
        REQUIRE(layout.ClipToRegion(run) == run);
        for (PageIndex page = run.first; page < run.end(); ++page) {
          REQUIRE_FALSE(fresh.Test(page));
          REQUIRE_FALSE(hole.Test(page));
          if (budget.critical_only) REQUIRE(critical.Test(page));
          fresh.Set(page);
        }
        round_bytes += run.count * layout.page_size(run.first);
      }
      REQUIRE(round_bytes <= PrePagePlan::kRoundBytes);
      bytes += round_bytes;
    }
    REQUIRE(bytes == plan.bytes_offered());
    REQUIRE((budget.bytes == 0 || bytes <= budget.bytes));
    REQUIRE(plan.state() != State::kGoing);
    REQUIRE((budget.bytes > 0 || plan.state() != State::kBytesSpent));
    if (plan.state() == State::kNothingLeft && !budget.critical_only) {
      for (PageIndex page = 0; page < total; ++page) REQUIRE((fresh.Test(page) || hole.Test(page)));
    }
    REQUIRE(plan.NextRound(fresh, 0).empty());
  }
}

}  // namespace
}  // namespace farfault
