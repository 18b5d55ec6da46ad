#ifndef FARFAULT_LIB_PREDICT_NONE_H_
#define FARFAULT_LIB_PREDICT_NONE_H_

#include <cstddef>
#include <span>

#include "farfault/predictor.h"

namespace farfault {

/// Never has an opinion: the pusher sweeps in ascending order, whatever faults.
class NonePredictor final : public Predictor {
 public:
  void OnFault(PageIndex page, absl::Time when) override;
  std::size_t Next(std::span<PageRun> out) override;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PREDICT_NONE_H_
