#ifndef FARFAULT_LIB_PREDICT_SEQUENTIAL_H_
#define FARFAULT_LIB_PREDICT_SEQUENTIAL_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "farfault/predictor.h"

namespace farfault {

/// Goes on behind the last fault, in ascending order through all regions and round to where it began. Before the first
/// fault, and after the lap, it has no opinion.
class SequentialPredictor final : public Predictor {
 public:
  static constexpr std::uint64_t kChunkPages = 64;

  void OnLayout(std::span<const PageRun> regions) override;
  void OnFault(PageIndex page, absl::Time when) override;
  std::size_t Next(std::span<PageRun> out) override;

 private:
  std::vector<PageRun> regions_;
  std::size_t region_ = 0;
  PageIndex at_ = 0;
  std::uint64_t left_ = 0;  // Pages of the lap.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PREDICT_SEQUENTIAL_H_
