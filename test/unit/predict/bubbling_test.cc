#include "lib/predict/bubbling.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <random>
#include <set>
#include <vector>

namespace farfault {
namespace {

using Direction = BubblingPredictor::Direction;

const absl::Time kNow = absl::UnixEpoch();

std::vector<PageRun> Next(Predictor& predictor, std::size_t most) {
  std::vector<PageRun> out(most);
  out.resize(predictor.Next(out));
  return out;
}

std::vector<PageIndex> Pages(const std::vector<PageRun>& runs) {
  std::vector<PageIndex> pages;
  for (const PageRun& run : runs) {
    for (PageIndex page = run.first; page < run.end(); ++page) pages.push_back(page);
  }
  return pages;
}

BubblingPredictor Make(std::size_t pivots, Direction direction, std::vector<PageRun> layout) {
  BubblingPredictor predictor({.pivots = pivots, .direction = direction});
  predictor.OnLayout(layout);
  return predictor;
}

TEST_CASE("without faults and history there is no opinion", "[bubbling]") {
  BubblingPredictor predictor = Make(4, Direction::kBoth, {{0, 1000}});
  REQUIRE(Next(predictor, 8).empty());
  predictor.OnFault(1000, kNow);
  REQUIRE(Next(predictor, 8).empty());
}

TEST_CASE("a bubble grows outwards in both directions", "[bubbling]") {
  BubblingPredictor predictor = Make(1, Direction::kBoth, {{0, 10000}});
  predictor.OnFault(5000, kNow);
  const std::vector<PageRun> runs = Next(predictor, 6);
  REQUIRE(runs == std::vector<PageRun>{{5001, 16}, {4984, 16}, {5017, 32}, {4952, 32}, {5049, 64}, {4888, 64}});
}

TEST_CASE("a page is never proposed before one of its side that is a chunk nearer", "[bubbling]") {
  BubblingPredictor predictor = Make(1, Direction::kBoth, {{0, 4000}});
  predictor.OnFault(2500, kNow);
  std::set<PageIndex> seen{2500};
  std::vector<PageRun> runs;
  while (!(runs = Next(predictor, 1)).empty()) {
    const PageRun run = runs.front();
    REQUIRE((seen.contains(run.first - 1) || seen.contains(run.end())));
    for (PageIndex page = run.first; page < run.end(); ++page) REQUIRE(seen.insert(page).second);
  }
  REQUIRE(seen.size() == 4000);
}

TEST_CASE("forward bubbles leave what lies before the pivot", "[bubbling]") {
  BubblingPredictor predictor = Make(2, Direction::kForward, {{0, 500}});
  predictor.OnFault(100, kNow);
  std::vector<PageIndex> pages = Pages(Next(predictor, 1000));
  REQUIRE(pages.size() == 399);
  REQUIRE(std::is_sorted(pages.begin(), pages.end()));
  REQUIRE(pages.front() == 101);
}

TEST_CASE("bubbles stay in their region", "[bubbling]") {
  BubblingPredictor predictor = Make(4, Direction::kBoth, {{0, 100}, {100, 37}, {137, 400}});
  predictor.OnFault(120, kNow);
  std::vector<PageIndex> pages = Pages(Next(predictor, 1000));
  std::sort(pages.begin(), pages.end());
  REQUIRE(pages.size() == 36);
  REQUIRE(pages.front() == 100);
  REQUIRE(pages.back() == 136);
}

TEST_CASE("pivots grow in turns, the newest first", "[bubbling]") {
  BubblingPredictor predictor = Make(3, Direction::kForward, {{0, 100000}});
  for (const PageIndex fault : {1000u, 20000u, 50000u}) predictor.OnFault(fault, kNow);
  const std::vector<PageRun> runs = Next(predictor, 6);
  REQUIRE(runs == std::vector<PageRun>{{50001, 16}, {20001, 16}, {1001, 16}, {50017, 32}, {20017, 32}, {1017, 32}});
}

TEST_CASE("a new pivot takes the place of the one that was hit least recently", "[bubbling]") {
  BubblingPredictor predictor = Make(2, Direction::kForward, {{0, 100000}});
  predictor.OnFault(1000, kNow);
  predictor.OnFault(20000, kNow);
  REQUIRE(Next(predictor, 2).size() == 2);
  REQUIRE(Next(predictor, 2).size() == 2);
  predictor.OnFault(1005, kNow);  // Inside the first bubble: it is the more recent one now.
  predictor.OnFault(70000, kNow);
  for (const PageRun& run : Next(predictor, 20)) {
    CAPTURE(run.first);
    REQUIRE((run.first > 70000 || (run.first > 1000 && run.first < 20000)));
  }
}

TEST_CASE("bubbles that meet become one and propose nothing twice", "[bubbling]") {
  BubblingPredictor predictor = Make(8, Direction::kBoth, {{0, 3000}});
  for (const PageIndex fault : {0u, 40u, 1000u, 1001u, 1100u, 2990u}) predictor.OnFault(fault, kNow);
  std::vector<PageIndex> pages = Pages(Next(predictor, 1000));
  std::sort(pages.begin(), pages.end());
  REQUIRE(std::adjacent_find(pages.begin(), pages.end()) == pages.end());
  REQUIRE(pages.size() == 3000 - 6);
}

TEST_CASE("a fault re-aims at once, and older bubbles resume where they were", "[bubbling]") {
  BubblingPredictor predictor = Make(4, Direction::kBoth, {{0, 1000000}});
  predictor.OnFault(500000, kNow);
  REQUIRE(Next(predictor, 1).front() == PageRun{500001, 16});
  // The pusher asks for many and has used none of them when the next fault comes.
  const std::vector<PageRun> dropped = Next(predictor, 64);
  predictor.OnFault(9000, kNow);
  const std::vector<PageRun> runs = Next(predictor, 128);
  REQUIRE(runs.front() == PageRun{9001, 16});
  std::vector<PageRun> resumed;
  std::copy_if(runs.begin(), runs.end(), std::back_inserter(resumed),
               [](const PageRun& run) { return run.first > 100000; });
  REQUIRE(std::equal(resumed.begin(), resumed.end(), dropped.begin()));
}

TEST_CASE("two faults in a row are both remembered", "[bubbling]") {
  BubblingPredictor predictor = Make(4, Direction::kForward, {{0, 1000000}});
  predictor.OnFault(100, kNow);
  Next(predictor, 8);
  predictor.OnFault(5000, kNow);
  predictor.OnFault(900000, kNow);
  const std::vector<PageRun> runs = Next(predictor, 3);
  REQUIRE(runs[0].first == 900001);
  REQUIRE(runs[1].first == 5001);
  REQUIRE(runs[2].first == 101);
}

std::vector<PageHeat> SomeHistory() {
  return {{700, 9}, {701, 9}, {702, 9}, {99999999, 9}, {30, 4}, {6000, 4}, {6001, 4}, {31, 1}};
}

TEST_CASE("what was hot goes first, hottest first, before any fault", "[bubbling]") {
  BubblingPredictor predictor = Make(2, Direction::kForward, {{0, 10000}});
  predictor.OnHistory(SomeHistory());
  const std::vector<PageRun> runs = Next(predictor, 6);
  REQUIRE(runs.size() == 6);
  REQUIRE(std::vector<PageRun>(runs.begin(), runs.begin() + 4) ==
          std::vector<PageRun>{{700, 3}, {30, 1}, {6000, 2}, {31, 1}});
  // Then the surroundings of the two hottest places.
  REQUIRE(runs[4] == PageRun{703, 16});
  REQUIRE(runs[5] == PageRun{31, 16});
}

TEST_CASE("a fault goes ahead of hot pages, which are still proposed", "[bubbling]") {
  BubblingPredictor predictor = Make(2, Direction::kForward, {{0, 10000}});
  predictor.OnHistory(SomeHistory());
  REQUIRE(Next(predictor, 1).front() == PageRun{700, 3});
  predictor.OnFault(8000, kNow);
  const std::vector<PageRun> runs = Next(predictor, 12);
  REQUIRE(runs.front() == PageRun{8001, 16});
  const std::vector<PageIndex> pages = Pages(runs);
  for (const PageIndex hot : {700u, 30u, 31u, 6000u, 6001u}) {
    CAPTURE(hot);
    REQUIRE(std::find(pages.begin(), pages.end(), hot) != pages.end());
  }
}

TEST_CASE("history beyond what is remembered is left to the sweep", "[bubbling]") {
  BubblingPredictor predictor = Make(1, Direction::kForward, {{0, 1000000}});
  std::vector<PageHeat> history;
  for (PageIndex page = 0; page < 3 * BubblingPredictor::kMaxHotRuns; ++page) history.push_back({2 * page, 1});
  predictor.OnHistory(history);
  std::size_t proposed = 0;
  for (int i = 0; i < 100; ++i) {
    for (const PageRun& run : Next(predictor, 64)) proposed += run.count == 1 && run.first % 2 == 0 ? 1 : 0;
  }
  REQUIRE(proposed == BubblingPredictor::kMaxHotRuns);
}

// Whatever faults come when, runs are sound, never cross regions, and faults are followed by their neighbourhood.
TEST_CASE("random faults", "[bubbling]") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    std::vector<PageRun> layout;
    PageIndex total = 0;
    for (std::size_t i = 0; i <= random() % 5; ++i) {
      layout.push_back({total, 1 + random() % 3000});
      total = layout.back().end();
    }
    const Direction direction = random() % 2 == 0 ? Direction::kBoth : Direction::kForward;
    BubblingPredictor predictor = Make(1 + random() % 9, direction, layout);
    std::vector<bool> proposed(total);
    bool had_fault = false;
    for (int step = 0; step < 300; ++step) {
      if (random() % 3 == 0) {
        const PageIndex fault = random() % (total + 5);
        predictor.OnFault(fault, kNow);
        had_fault |= fault < total;
        if (fault < total) proposed[fault] = true;
        continue;
      }
      for (const PageRun& run : Next(predictor, random() % 20)) {
        REQUIRE(had_fault);
        REQUIRE(run.count > 0);
        REQUIRE(run.count <= BubblingPredictor::kMaxChunkPages);
        REQUIRE(std::any_of(layout.begin(), layout.end(), [run](const PageRun& region) {
          return run.first >= region.first && run.end() <= region.end();
        }));
        for (PageIndex page = run.first; page < run.end(); ++page) proposed[page] = true;
      }
    }
    // Left alone it ends, and (growing both ways) has proposed all of each region that its last pivots are in.
    const PageIndex last = random() % total;
    predictor.OnFault(last, kNow);
    std::vector<bool> rest(total);
    rest[last] = true;
    std::size_t calls = 0;
    for (std::vector<PageRun> runs; !(runs = Next(predictor, 16)).empty(); ++calls) {
      REQUIRE(calls < total);
      for (const PageIndex page : Pages(runs)) rest[page] = proposed[page] = true;
    }
    const auto region =
        std::find_if(layout.begin(), layout.end(), [last](const PageRun& run) { return last < run.end(); });
    for (PageIndex page = direction == Direction::kBoth ? region->first : last; page < region->end(); ++page) {
      CAPTURE(page, last);
      REQUIRE((rest[page] || proposed[page]));
    }
  }
}

}  // namespace
}  // namespace farfault
