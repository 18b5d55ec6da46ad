#include "lib/predict/sequential.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <vector>

namespace farfault {
namespace {

constexpr std::array<PageRun, 2> kLayout{{{0, 100}, {100, 300}}};

std::vector<PageIndex> Propose(Predictor& predictor, std::size_t most_calls) {
  std::vector<PageIndex> pages;
  std::array<PageRun, 3> out;
  for (std::size_t call = 0; call < most_calls; ++call) {
    const std::size_t count = predictor.Next(out);
    if (count == 0) break;
    for (const PageRun& run : std::span(out).first(count)) {
      REQUIRE(run.count > 0);
      REQUIRE((run.end() <= 100 || run.first >= 100));
      for (PageIndex page = run.first; page < run.end(); ++page) pages.push_back(page);
    }
  }
  return pages;
}

TEST_CASE("sequential has no opinion before the first fault", "[sequential]") {
  SequentialPredictor predictor;
  predictor.OnLayout(kLayout);
  REQUIRE(Propose(predictor, 10).empty());
  predictor.OnFault(400, absl::UnixEpoch());  // Outside.
  REQUIRE(Propose(predictor, 10).empty());
}

TEST_CASE("sequential makes one lap behind the last fault", "[sequential]") {
  for (const PageIndex fault : {0u, 57u, 99u, 100u, 399u}) {
    CAPTURE(fault);
    SequentialPredictor predictor;
    predictor.OnLayout(kLayout);
    predictor.OnFault(3, absl::UnixEpoch());
    Propose(predictor, 2);
    predictor.OnFault(fault, absl::UnixEpoch());
    const std::vector<PageIndex> pages = Propose(predictor, 1000);
    REQUIRE(pages.size() == 399);
    for (std::size_t i = 0; i < pages.size(); ++i) REQUIRE(pages[i] == (fault + 1 + i) % 400);
  }
}

}  // namespace
}  // namespace farfault
