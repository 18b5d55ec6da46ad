#include "lib/session/destination_control.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "lib/session/extent_messages.h"
#include "lib/util/mutant.h"

namespace farfault {

using Phase = DestinationPhase;

void DestinationControl::AllowActivation() {
  if (activation_allowed_ || progress_.failed()) return;
  activation_allowed_ = true;
  link_.Send(MessageType::kMayActivate);
}

bool DestinationControl::Take() { return holes_.empty() ? TakeMessage() : TakeHoles(); }

bool DestinationControl::TakeMessage() {
  const std::optional<ControlMessage> message = link_.Receive();
  if (message) OnMessage(*message);
  if (link_.status().ok()) return message.has_value();
  if (progress_.phase() == Phase::kResident) progress_.Enter(Phase::kDone);
  if (progress_.phase() != Phase::kDone) {
    const absl::Status& lost = link_.status();
    absl::IsUnavailable(lost) ? progress_.LoseChannel(lost) : progress_.LoseSource(lost);
  }
  return message.has_value();
}

void DestinationControl::OnMessage(const ControlMessage& message) {
  if (progress_.phase() == Phase::kResident) {
    // Everything is here. Holes and the end of the push may have crossed our message; whatever else the source says,
    // be it that it failed, is its goodbye.
    if (message.type != MessageType::kHoles && message.type != MessageType::kPushComplete) {
      progress_.Enter(Phase::kDone);
    }
    return;
  }
  switch (message.type) {
    case MessageType::kExtents:
      return OnExtents(message);
    case MessageType::kDirtyRuns:
      return OnDirty(message);
    case MessageType::kSwitchOver:
      return OnSwitchOver(message);
    case MessageType::kHoles:
      return OnHoles(message);
    case MessageType::kPushComplete:
      if (OnPushComplete(message)) return;
      break;
    case MessageType::kFailure:
      return progress_.Fail(DecodeFailure(message.payload));
    default:
      break;
  }
  progress_.Fail(absl::DataLossError(
      fmt::format("the source sent message {} at the wrong time or malformed", static_cast<int>(message.type))));
}

void DestinationControl::OnExtents(const ControlMessage& message) {
  // Later a page without a key has been taken for a hole.
  absl::Status added = progress_.phase() == Phase::kWaiting
                           ? AddExtents(message.payload, source_memory_)
                           : absl::DataLossError("the source sent keys after the switchover");
  if (!added.ok()) progress_.Fail(std::move(added));
}

void DestinationControl::OnDirty(const ControlMessage& message) {
  const auto runs = DecodeRuns(message.payload);
  bool sound = runs && progress_.phase() == Phase::kWaiting;
  for (std::size_t i = 0; sound && i < runs->size(); ++i) {
    const PageRun run = (*runs)[i];
    sound = run.count > 0 && pages_.layout().Contains(run);
    dirty_pages_ += run.count;
    // No page is dirty twice, which bounds what a source can make us keep.
    sound = sound && dirty_pages_ <= pages_.table().size();
  }
  if (!sound) return progress_.Fail(absl::DataLossError("the source sent a dirty set that makes no sense"));
  dirty_.insert(dirty_.end(), runs->begin(), runs->end());
}

void DestinationControl::OnSwitchOver(const ControlMessage& message) {
  const auto switch_over = message.As<SwitchOverMessage>();
  if (!switch_over || progress_.phase() != Phase::kWaiting) {
    return progress_.Fail(absl::DataLossError("the source sent a switchover that makes no sense"));
  }
  switch_over_ = *switch_over;
  if (MutantIs(Mutant::kApplyDirtyEarly)) ForgetDirty();
  progress_.Enter(Phase::kSwitchArrived);
}

bool DestinationControl::OnPushComplete(const ControlMessage& message) {
  const auto complete = message.As<PushCompleteMessage>();
  if (!complete || progress_.phase() != Phase::kRunning || push_complete_received_) return false;
  push_complete_ = *complete;
  push_complete_received_ = true;
  return true;
}

bool DestinationControl::FinishSwitchOver() {
  // Run lists that were sent ahead of the dirty set must not revive what it takes back.
  const bool due = progress_.phase() == Phase::kSwitchArrived && activation_allowed_;
  if (!due || !arrivals_.HasTakenIn(switch_over_.lists_sent)) return false;
  if (!MutantIs(Mutant::kIgnoreDirtySet) && !MutantIs(Mutant::kApplyDirtyEarly)) ForgetDirty();
  if (progress_.failed()) return true;
  pages_.EndEarlyDiscards();
  if (before_guest_runs_) before_guest_runs_();
  progress_.StartGuest(switch_over_.push_enabled != 0);
  link_.Send(MessageType::kSwitchedOver);
  return true;
}

void DestinationControl::ForgetDirty() {
  for (const PageRun& run : dirty_) {
    for (PageIndex page = run.first; page < run.end() && !progress_.failed();) {
      const PageRun rest = pages_.layout().ClipToRegion({page, run.end() - page});
      pages_.stats().pages_stale += pages_.Forget(rest);
      page = rest.end();
    }
  }
  dirty_.clear();
}

void DestinationControl::OnHoles(const ControlMessage& message) {
  auto runs = DecodeRuns(message.payload);
  if (!runs || progress_.phase() != Phase::kRunning) {
    return progress_.Fail(absl::DataLossError("the source sent holes that make no sense"));
  }
  for (const PageRun& run : *runs) {
    hole_pages_ += run.count;
    // No page is a hole twice, which bounds what a source can keep us busy with.
    if (pages_.layout().Contains(run) && hole_pages_ <= pages_.table().size()) continue;
    return progress_.Fail(absl::DataLossError("the source sent holes that are not in the memory, or twice"));
  }
  holes_ = *std::move(runs);
  next_hole_ = 0;
}

bool DestinationControl::TakeHoles() {
  std::uint64_t budget = DestinationPages::kStatesPerRound;
  for (; budget > 0 && next_hole_ < holes_.size(); --budget) {
    PageRun& run = holes_[next_hole_];
    if (run.count == 0) {
      ++next_hole_;
      continue;
    }
    const PageIndex page = run.first++;
    --run.count;
    // A page that was asked for already comes as zeros by itself.
    if (pages_.state(page) != PageState::kAbsent) continue;
    pages_.Move(page, PageState::kHole);
    ++pages_.stats().hole_pages;
  }
  if (next_hole_ == holes_.size()) holes_.clear();
  return true;
}

bool DestinationControl::TellWhenResident() {
  if (progress_.phase() != Phase::kRunning || !progress_.nothing_missing()) return false;
  progress_.Enter(Phase::kResident);
  link_.Send(MessageType::kResident);
  return true;
}

}  // namespace farfault
