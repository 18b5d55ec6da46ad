#ifndef FARFAULT_LIB_SIM_ADVERSARY_PREDICTOR_H_
#define FARFAULT_LIB_SIM_ADVERSARY_PREDICTOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "farfault/predictor.h"
#include "lib/util/splitmix.h"

namespace farfault::sim {

/// Says anything that the interface allows and much that it does not: repeats itself, names pages that do not exist,
/// runs across regions, empty runs, claims to have written more than there is room for.
class AdversaryPredictor final : public Predictor {
 public:
  explicit AdversaryPredictor(std::uint64_t seed) : random_(seed) {}

  void OnLayout(std::span<const PageRun> regions) override {
    if (!regions.empty()) pages_ = regions.back().end();
  }
  void OnFault(PageIndex page, absl::Time when) override {
    static_cast<void>(when);
    last_ = page;
  }
  std::size_t Next(std::span<PageRun> out) override {
    if (random_.OneIn(8)) return 0;
    const std::size_t count = random_.Between(1, std::min<std::size_t>(out.size(), 8));
    for (PageRun& run : out.first(count)) run = Any();
    return random_.OneIn(32) ? out.size() + 1 : count;
  }

 private:
  PageRun Any() {
    switch (random_.Below(5)) {
      case 0:
        return {random_.Next(), random_.Next()};
      case 1:
        return {last_, random_.Between(0, 8)};
      case 2:
        return {0, pages_};
      default:
        return {random_.Below(pages_ + 4), random_.Between(0, 40)};
    }
  }

  SplitMix64 random_;
  std::uint64_t pages_ = 0;
  PageIndex last_ = 0;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_ADVERSARY_PREDICTOR_H_
