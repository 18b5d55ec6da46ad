#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <string>

#include "farfault/predictor.h"

namespace farfault {
namespace {

TEST_CASE("every known predictor can be made", "[predictor]") {
  REQUIRE(KnownPredictors().size() == 3);
  for (const PredictorDescription& known : KnownPredictors()) {
    CAPTURE(known.name);
    REQUIRE_FALSE(known.summary.empty());
    const auto predictor = MakePredictor(known.name);
    REQUIRE(predictor.ok());
    REQUIRE(*predictor != nullptr);
  }
}

TEST_CASE("options of bubbling are understood", "[predictor]") {
  for (const std::string specification :
       {"bubbling:", "bubbling:pivots=1", "bubbling:pivots=8,direction=forward", "bubbling:direction=both,pivots=64"}) {
    CAPTURE(specification);
    REQUIRE(MakePredictor(specification).ok());
  }
}

TEST_CASE("an unknown predictor is answered with the known ones", "[predictor]") {
  for (const std::string specification : {"", "bubble", "Bubbling", "none2", "pivots=3"}) {
    CAPTURE(specification);
    const auto predictor = MakePredictor(specification);
    REQUIRE(predictor.status().code() == absl::StatusCode::kInvalidArgument);
    const std::string message(predictor.status().message());
    for (const PredictorDescription& known : KnownPredictors()) {
      REQUIRE(message.find("'" + known.name + "'") != std::string::npos);
    }
  }
}

TEST_CASE("a bad option is named with its value", "[predictor]") {
  struct Case {
    std::string specification;
    std::string named;
  };
  for (const Case& bad :
       {Case{"bubbling:pivots=0", "pivots=0"}, Case{"bubbling:pivots=65", "pivots=65"},
        Case{"bubbling:pivots=many", "pivots=many"}, Case{"bubbling:pivots", "pivots="},
        Case{"bubbling:direction=up", "direction=up"}, Case{"bubbling:speed=3", "speed=3"},
        Case{"bubbling:pivots=2,,", "''"}, Case{"none:x=1", "x=1"}, Case{"sequential:pivots=2", "pivots=2"}}) {
    CAPTURE(bad.specification);
    const auto predictor = MakePredictor(bad.specification);
    REQUIRE(predictor.status().code() == absl::StatusCode::kInvalidArgument);
    REQUIRE(std::string(predictor.status().message()).find(bad.named) != std::string::npos);
  }
}

TEST_CASE("none never has an opinion", "[predictor]") {
  const auto predictor = MakePredictor("none");
  REQUIRE(predictor.ok());
  const std::array<PageRun, 1> layout{{{0, 1000}}};
  (*predictor)->OnLayout(layout);
  const std::array<PageHeat, 1> history{{{5, 3}}};
  (*predictor)->OnHistory(history);
  std::array<PageRun, 4> out;
  REQUIRE((*predictor)->Next(out) == 0);
  (*predictor)->OnFault(17, absl::UnixEpoch());
  REQUIRE((*predictor)->Next(out) == 0);
}

}  // namespace
}  // namespace farfault
