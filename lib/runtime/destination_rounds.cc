#include <utility>

#include "lib/runtime/destination_session.h"

// What the engine's thread does in each of its rounds, and between two of them.
namespace farfault {
namespace {

constexpr absl::Duration kReasonFirst = absl::Seconds(1);

}  // namespace

// Only guest threads that wait make a round urgent: spinning between pushed batches would take the core from the
// threads that receive them.
EngineThread::Round ThreadedDestinationSession::Round() {
  const std::uint64_t demand = engine_->demand_steps();
  const bool progress = PollOnce();
  if (engine_->demand_steps() != demand) return EngineThread::Round::kUrgent;
  return progress ? EngineThread::Round::kProgress : EngineThread::Round::kIdle;
}

bool ThreadedDestinationSession::PollOnce() {
  bool progress = engine_->Poll();
  WatchFaults();
  // It may have changed in a call between two rounds as well.
  progress |= NoticePhase();
  const Phase phase = engine_->phase();
  if (phase == Phase::kFailed) GoQuiet();
  const bool resident = phase == Phase::kResident || phase == Phase::kDone;
  if (!resident) return progress;
  if (!finished_ && engine_->all_mapped()) {
    Finish();
    progress = true;
  }
  // After the source's goodbye nothing is on its way to a frame.
  if (phase == Phase::kDone && !frames_revoked_) {
    resources_.placement().RevokeFrames();
    frames_revoked_ = true;
  }
  if (!finished_ || !frames_revoked_) return progress;
  if (!std::exchange(hung_up_, true)) HangUp();
  if (options_.collapse_huge_pages) progress |= resources_.placement().CollapseSome();
  return progress;
}

/// A fault that is left in the kernel would keep this thread awake.
void ThreadedDestinationSession::WatchFaults() {
  const bool watch = engine_->takes_faults();
  if (watch == std::exchange(watches_faults_, watch)) return;
  if (watch) {
    thread_->Watch(resources_.uffd());
  } else {
    thread_->StopWatching(resources_.uffd());
  }
}

/// Nobody polls the channels any more, and the end of the source's side, never read, would keep this thread awake.
void ThreadedDestinationSession::HangUp() {
  core_.connection.control->Close();
  for (const auto& channel : core_.connection.demand) channel->Close();
  for (const auto& channel : core_.connection.push) channel->Close();
}

/// After a failure nobody polls the data channels: they may not keep this thread awake.
/// The peer should hear the reason before it sees channels close.
void ThreadedDestinationSession::GoQuiet() {
  if (hung_up_) return;
  const ControlLink& link = *core_.connection.link;
  const bool lost = !link.status().ok();
  if (!lost && !link.flushed() && core_.clock.Now() - failed_at_ < absl::ToInt64Nanoseconds(kReasonFirst)) return;
  hung_up_ = true;
  for (const auto& channel : core_.connection.demand) channel->Close();
  for (const auto& channel : core_.connection.push) channel->Close();
  if (lost) core_.connection.control->Close();
}

bool ThreadedDestinationSession::NoticePhase() {
  const Phase phase = engine_->phase();
  if (phase == std::exchange(seen_phase_, phase)) return false;
  OnPhase(phase);
  return true;
}

void ThreadedDestinationSession::OnPhase(Phase phase) {
  if (phase == Phase::kRunning) core_.Publish(SessionState::kSwitchedOver, absl::OkStatus());
  if (phase == Phase::kFailed) {
    failed_at_ = core_.clock.Now();
    core_.Publish(SessionState::kFailed, engine_->failure());
  }
}

std::vector<PageRun> ThreadedDestinationSession::Holes() const {
  const PageTable& table = engine_->table();
  std::vector<PageRun> holes;
  for (PageIndex at = 0; at < table.size();) {
    PageRun run = table.NextRun(PageState::kHole, at, table.size(), table.size());
    if (run.count == 0) break;
    run = core_.layout.ClipToRegion(run);
    holes.push_back(run);
    at = run.end();
  }
  return holes;
}

void ThreadedDestinationSession::Finish() {
  finished_ = true;
  finish_status_ = resources_.placement().Disarm(Holes());
  if (!finish_status_.ok()) {
    core_.Publish(SessionState::kFailed, finish_status_);
    return;
  }
  core_.Publish(SessionState::kResident, absl::OkStatus());
  core_.ReportMoved(core_.layout.total_pages());
  core_.events.Send(EventKind::kResident);
}

void ThreadedDestinationSession::Tick() {
  const GuestProcess* const process = resources_.placement().process();
  if (process != nullptr && !finished_ && process->exited()) {
    engine_->Fail(GuestProcess::Gone());
    NoticePhase();
  }
  core_.ReportTrouble();
  if (engine_->phase() != Phase::kRunning || !core_.events.has_listener()) return;
  core_.ReportMoved(engine_->resident_pages());
}

}  // namespace farfault
