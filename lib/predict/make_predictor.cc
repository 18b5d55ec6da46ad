#include <fmt/format.h>

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "farfault/predictor.h"
#include "lib/predict/bubbling.h"
#include "lib/predict/none.h"
#include "lib/predict/sequential.h"

namespace farfault {
namespace {

absl::Status ApplyOption(absl::string_view option, BubblingPredictor::Options& options) {
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(option, absl::MaxSplits('=', 1));
  const auto& [name, value] = parts;
  if (name == "pivots") {
    std::uint64_t pivots = 0;
    if (!absl::SimpleAtoi(value, &pivots) || pivots < 1 || pivots > BubblingPredictor::kMaxPivots) {
      return absl::InvalidArgumentError(fmt::format("predictor bubbling: pivots={} is not a number from 1 to {}",
                                                    std::string(value), BubblingPredictor::kMaxPivots));
    }
    options.pivots = pivots;
    return absl::OkStatus();
  }
  if (name == "direction") {
    if (value != "both" && value != "forward") {
      return absl::InvalidArgumentError(
          fmt::format("predictor bubbling: direction={} is not known; use 'both' or 'forward'", std::string(value)));
    }
    options.direction = value == "both" ? BubblingPredictor::Direction::kBoth : BubblingPredictor::Direction::kForward;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("predictor bubbling has no option '{}'; it has pivots=1..{} and "
                  "direction=both|forward",
                  std::string(option), BubblingPredictor::kMaxPivots));
}

absl::StatusOr<std::unique_ptr<Predictor>> MakeBubbling(absl::string_view options_text) {
  BubblingPredictor::Options options;
  if (!options_text.empty()) {
    for (const absl::string_view option : absl::StrSplit(options_text, ',')) {
      if (absl::Status status = ApplyOption(option, options); !status.ok()) return status;
    }
  }
  return std::make_unique<BubblingPredictor>(options);
}

}  // namespace

std::vector<PredictorDescription> KnownPredictors() {
  return {
      {"none", "ascending sweep that ignores faults: the baseline"},
      {"sequential", "goes on behind the last fault: for guests that scan"},
      {"bubbling",
       "grows outwards around recent faults: the default. Options: bubbling:pivots=1..64,direction=both|forward"},
  };
}

absl::StatusOr<std::unique_ptr<Predictor>> MakePredictor(std::string_view specification) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(absl::string_view(specification.data(), specification.size()), absl::MaxSplits(':', 1));
  const auto& [name, options] = parts;
  if (name == "bubbling") return MakeBubbling(options);
  if (name != "none" && name != "sequential") {
    std::string known;
    for (const PredictorDescription& policy : KnownPredictors()) {
      known += fmt::format("{}'{}'", known.empty() ? "" : ", ", policy.name);
    }
    return absl::InvalidArgumentError(
        fmt::format("there is no predictor '{}'; known are {}", std::string(name), known));
  }
  if (!options.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("predictor {} takes no options, but got '{}'", std::string(name), std::string(options)));
  }
  if (name == "none") return std::make_unique<NonePredictor>();
  return std::make_unique<SequentialPredictor>();
}

}  // namespace farfault
