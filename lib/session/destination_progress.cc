#include "lib/session/destination_progress.h"

#include <utility>

namespace farfault {

void DestinationProgress::Fail(absl::Status status) {
  if (failed() || (phase_ == DestinationPhase::kDone && all_mapped())) return;
  phase_ = DestinationPhase::kFailed;
  failure_ = std::move(status);
  control_.SendFailure(failure_);
}

}  // namespace farfault
