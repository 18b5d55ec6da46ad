#ifndef FARFAULT_LIB_SESSION_DESTINATION_PROGRESS_H_
#define FARFAULT_LIB_SESSION_DESTINATION_PROGRESS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "lib/page/page_table.h"
#include "lib/session/control_link.h"

namespace farfault {

enum class DestinationPhase : std::uint8_t {
  kWaiting,        ///< The guest runs at the source; pre-paged pages come in.
  kSwitchArrived,  ///< The source has handed the guest over.
  kRunning,        ///< The guest may run here.
  kResident,       ///< Nothing is missing, and the source has been told.
  kDone,           ///< The source has said goodbye; what has landed may still have to be mapped.
  kFailed,
};

/// How far a destination has come, or why it can't go on. One thread.
class DestinationProgress {
 public:
  /// `ran_before`: the guest has run here already, on what an earlier session or a snapshot brought.
  DestinationProgress(const PageTable& table, ControlLink& control, bool ran_before)
      : table_(table), control_(control), ran_before_(ran_before) {}

  DestinationPhase phase() const { return phase_; }
  bool failed() const { return phase_ == DestinationPhase::kFailed; }
  const absl::Status& failure() const { return failure_; }
  /// The guest has been handed over; it may be running here even after a failure.
  bool guest_may_run() const { return guest_may_run_; }
  /// The source pushes what nobody asks for.
  bool push_expected() const { return push_expected_; }
  /// Every page is mapped or a hole.
  bool all_mapped() const { return table_.count(PageState::kMapped) + table_.count(PageState::kHole) == table_.size(); }
  std::uint64_t resident_pages() const { return table_.count(PageState::kLanded) + table_.count(PageState::kMapped); }
  /// No page is at the source only.
  bool nothing_missing() const { return resident_pages() + table_.count(PageState::kHole) == table_.size(); }

  void Enter(DestinationPhase phase) { phase_ = phase; }
  void StartGuest(bool push_expected) {
    phase_ = DestinationPhase::kRunning;
    guest_may_run_ = true;
    push_expected_ = push_expected;
  }
  /// Only the first failure counts, and none once everything is mapped and said. Tells the peer.
  void Fail(absl::Status status);
  /// The same when it is the source that is lost, or that makes no sense: says where that leaves the guest.
  void LoseSource(const absl::Status& why);
  /// A channel is lost. A source that hung up may have said why on the control channel, and have sent all that was
  /// missing, and what has come of both may not have been taken in yet: the loss becomes a failure with SettleLoss,
  /// once nothing is left to take. The channel that was lost first is named, which says more than that all of them are.
  void LoseChannel(absl::Status why);
  bool losing_source() const { return !lost_channel_.ok(); }
  /// Every round. `came`: a message or pages were taken in.
  void SettleLoss(bool came);

 private:
  const PageTable& table_;
  ControlLink& control_;
  DestinationPhase phase_ = DestinationPhase::kWaiting;
  const bool ran_before_;
  absl::Status failure_;
  absl::Status lost_channel_;
  int rounds_lost_ = 0;
  bool guest_may_run_ = false;
  bool push_expected_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_DESTINATION_PROGRESS_H_
