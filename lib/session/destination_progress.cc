#include "lib/session/destination_progress.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "lib/util/status_text.h"

namespace farfault {
namespace {

// A source that hung up has left no more than fits into the receives that were posted, though taking in the holes of a
// large memory takes many rounds; one that has not hung up could go on for ever.
constexpr int kMostRoundsLost = 1 << 16;

}  // namespace

void DestinationProgress::Fail(absl::Status status) {
  if (failed() || (phase_ == DestinationPhase::kDone && all_mapped())) return;
  phase_ = DestinationPhase::kFailed;
  failure_ = std::move(status);
  control_.SendFailure(failure_);
}

void DestinationProgress::LoseSource(const absl::Status& why) {
  // Whoever is told that the guest has not run here may let it go on at the source.
  const bool may_have_run = guest_may_run_ || ran_before_;
  std::string text = fmt::format("{}; {}", StatusText(why),
                                 may_have_run ? "pages that are missing here stay parked"
                                              : "the guest has not run here and may go on at the source");
  if (absl::IsUnavailable(why)) {
    text += may_have_run ? ": see at the source why it ended" : ": see there why, then begin again";
  }
  Fail(absl::Status(why.code(), text));
}

void DestinationProgress::LoseChannel(absl::Status why) {
  if (lost_channel_.ok()) lost_channel_ = std::move(why);
}

void DestinationProgress::SettleLoss(bool came) {
  if (!losing_source() || phase_ >= DestinationPhase::kResident) return;
  if (!came || ++rounds_lost_ > kMostRoundsLost) LoseSource(lost_channel_);
}

}  // namespace farfault
