#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "farfault/predictor.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/page_layout.h"
#include "lib/push/push_order.h"

// What bubbling is worth to a guest with locality.
namespace farfault {
namespace {

// The pusher's view: an order over all pages. The guest touches a page per `push_per_access` pages pushed; what has not
// been pushed by then is a network fault.
std::size_t NetworkFaults(Predictor& predictor, std::uint64_t pages, const std::vector<PageIndex>& accesses,
                          std::uint64_t pushed_per_access, std::vector<bool>* pushed_ever) {
  const PageLayout layout({{{0, pages}, kSmallPage}});
  PageBitmap settled(pages);
  const std::array<PageRun, 1> regions{{{0, pages}}};
  predictor.OnLayout(regions);
  PushOrder order(layout, settled, predictor);
  std::size_t faults = 0;
  const auto push = [&](std::uint64_t budget) {
    while (budget > 0) {
      const PageRun run = order.Next(budget * kSmallPage);
      if (run.count == 0) return false;
      settled.SetRun(run);
      for (PageIndex page = run.first; page < run.end(); ++page) (*pushed_ever)[page] = true;
      budget -= run.count;
    }
    return true;
  };
  for (const PageIndex page : accesses) {
    if (!settled.Test(page)) {
      ++faults;
      settled.Set(page);
      (*pushed_ever)[page] = true;
      order.OnFault(page, absl::UnixEpoch());
    }
    push(pushed_per_access);
  }
  while (push(1000)) {
  }
  return faults;
}

TEST_CASE("bubbling proposes what a guest with locality touches next earlier than the sweep", "[bubbling]") {
  constexpr std::uint64_t kPages = 200000;
  struct Trace {
    const char* name;
    std::vector<PageIndex> accesses;
    double at_most;  // Of the sweep's faults.
  };
  std::mt19937_64 random(11);
  std::vector<Trace> traces;
  Trace local{"random walk in four places", {}, 0.25};
  std::array<PageIndex, 4> places{150000, 90000, 180000, 120000};
  for (int i = 0; i < 20000; ++i) {
    PageIndex& place = places[random() % 4];
    place = std::clamp<PageIndex>(place + random() % 9, 4, kPages - 10) - 4;
    local.accesses.push_back(place);
  }
  traces.push_back(local);
  Trace strided{"four strided streams", {}, 0.25};
  for (PageIndex i = 0; i < 2000; ++i) {
    for (const PageIndex base : {60000u, 100000u, 140000u, 185000u}) strided.accesses.push_back(base + 3 * i);
  }
  traces.push_back(strided);

  for (const Trace& trace : traces) {
    CAPTURE(trace.name);
    std::vector<bool> pushed(kPages);
    const auto sweep = MakePredictor("none");
    const std::size_t swept = NetworkFaults(**sweep, kPages, trace.accesses, 4, &pushed);
    for (const std::string specification : {"bubbling", "bubbling:pivots=8,direction=forward"}) {
      CAPTURE(specification);
      std::vector<bool> bubbled(kPages);
      const auto bubbling = MakePredictor(specification);
      const std::size_t faults = NetworkFaults(**bubbling, kPages, trace.accesses, 4, &bubbled);
      CAPTURE(faults, swept);
      REQUIRE(static_cast<double>(faults) <= trace.at_most * static_cast<double>(swept));
      REQUIRE(std::all_of(bubbled.begin(), bubbled.end(), [](bool page) { return page; }));
    }
  }
}

}  // namespace
}  // namespace farfault
