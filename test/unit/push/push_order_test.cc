#include "lib/push/push_order.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <random>

#include "test/support/fake_placement.h"
#include "test/support/push_harness.h"

namespace farfault {
namespace {

struct World {
  PageLayout layout{{{{0, 100}, 10}, {{100, 20}, 100}}};
  PageBitmap settled{120};
  ScriptedPredictor predictor;
  PushOrder order{layout, settled, predictor};
};

TEST_CASE("without an opinion pages are pushed in ascending order, region by region", "[push][order]") {
  World world;
  CHECK(world.order.Next(500) == PageRun{0, 50});
  CHECK(world.order.Next(500) == PageRun{0, 50});  // Until it has been settled.
  world.settled.SetRun({0, 98});
  CHECK(world.order.Next(500) == PageRun{98, 2});
  world.settled.SetRun({98, 2});
  CHECK(world.order.Next(500) == PageRun{100, 5});
  CHECK(world.order.Next(1) == PageRun{100, 1});  // At least one page.
  world.settled.SetRun({100, 20});
  CHECK(world.order.Next(500) == PageRun{});
}

TEST_CASE("the sweep comes back for what it left behind", "[push][order]") {
  World world;
  world.settled.SetRun({0, 120});
  world.settled.ClearRun({50, 1});
  CHECK(world.order.Next(10) == PageRun{50, 1});
  world.settled.Set(50);
  world.settled.ClearRun({7, 3});
  CHECK(world.order.Next(1000) == PageRun{7, 3});
}

TEST_CASE("the predictor's runs come first, without what is settled", "[push][order]") {
  World world;
  world.settled.SetRun({40, 5});
  world.predictor.answer = {{40, 10}, {3, 2}};
  CHECK(world.order.Next(1000) == PageRun{45, 5});
  world.settled.SetRun({45, 2});
  CHECK(world.order.Next(1000) == PageRun{47, 3});
  world.settled.SetRun({47, 3});
  CHECK(world.order.Next(1000) == PageRun{3, 2});
  world.settled.SetRun({3, 2});
  CHECK(world.order.Next(20) == PageRun{0, 2});
}

TEST_CASE("a predicted run that spans two regions is cut at the border", "[push][order]") {
  World world;
  world.predictor.answer = {{90, 20}};
  CHECK(world.order.Next(100000) == PageRun{90, 10});
  world.settled.SetRun({90, 10});
  CHECK(world.order.Next(100000) == PageRun{100, 10});
}

TEST_CASE("a fault drops what the predictor had said before", "[push][order]") {
  World world;
  world.predictor.answer = {{40, 10}};
  CHECK(world.order.Next(10) == PageRun{40, 1});
  world.predictor.answer = {{60, 10}};
  world.order.OnFault(60, absl::UnixEpoch());
  CHECK(world.predictor.faults == std::vector<PageIndex>{60});
  CHECK(world.order.Next(10) == PageRun{60, 1});
}

TEST_CASE("nonsense from a predictor is dropped and counted", "[push][order]") {
  World world;
  world.predictor.answer = {{0, 0}, {120, 1}, {0, 121}, {UINT64_MAX, 2}, {5, UINT64_MAX}, {9, 1}};
  CHECK(world.order.Next(1000) == PageRun{9, 1});
  CHECK(world.order.predictor_out_of_range() == 5);
}

TEST_CASE("a predictor that claims more runs than there is room for is not believed", "[push][order]") {
  World world;
  world.predictor.answer = {{9, 1}};
  world.predictor.overstate = true;
  CHECK(world.order.Next(1000).count > 0);
}

TEST_CASE("a predictor that repeats itself for ever does not stop the sweep", "[push][order]") {
  World world;
  world.settled.SetRun({10, 10});
  world.predictor.answer = {{10, 10}};
  world.predictor.repeat = true;
  CHECK(world.order.Next(1000) == PageRun{0, 10});
  CHECK(world.predictor.asked < 100);
}

TEST_CASE("whatever a predictor says, every page is pushed exactly once", "[push][order]") {
  const std::uint64_t seed = GENERATE(range(1u, 21u));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  World world;
  std::uint64_t pushed = 0;
  for (int step = 0; step < 2000; ++step) {
    if (random() % 3 == 0) world.predictor.answer = {{random() % 130, random() % 40}, {random() % 120, random() % 5}};
    if (random() % 7 == 0) world.order.OnFault(random() % 120, absl::UnixEpoch());
    const std::uint64_t most = 1 + random() % 1000;
    const PageRun run = world.order.Next(most);
    if (run.count == 0) break;
    REQUIRE(world.layout.Contains(run));
    REQUIRE(world.layout.ClipToRegion(run) == run);
    REQUIRE((run.count == 1 || run.count * world.layout.page_size(run.first) <= most));
    REQUIRE(world.settled.NextSet(run.first, run.end()).count == 0);
    // What the pusher takes may be less than what it was given.
    const PageRun taken{run.first, 1 + random() % run.count};
    world.settled.SetRun(taken);
    pushed += taken.count;
  }
  CHECK(pushed == 120);
  CHECK(world.settled.Count() == 120);
}

}  // namespace
}  // namespace farfault
