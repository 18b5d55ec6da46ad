#include "lib/runtime/source_session.h"

#include <fmt/format.h>

#include <string>
#include <thread>
#include <utility>

#include "farfault/predictor.h"
#include "lib/page/guest_mapping.h"
#include "lib/runtime/check_options.h"
#include "lib/session/handshake.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr absl::Duration kFarewell = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<SourceSession>> SourceSession::Create(GuestMemory memory, SourceOptions options) {
  if (absl::Status checked = CheckOptions(options, memory); !checked.ok()) return checked;
  if (options.predictor == nullptr) {
    auto predictor = MakePredictor("bubbling");
    if (!predictor.ok()) return predictor.status();
    options.predictor = *std::move(predictor);
  }
  // What looks like a hole by a wrong file would arrive as zeros.
  if (absl::Status mapped = CheckGuestMappings(memory); !mapped.ok()) return mapped;
  auto lease = MemoryLease::Take(memory);
  if (!lease.ok()) return lease.status();
  ThreadedSourceSession::Guest guest;
  if (memory.external() == nullptr) {
    guest.memory = std::move(memory);
  } else {
    auto view = FileView::Map(memory);
    if (!view.ok()) return view.status();
    guest = {.memory = view->memory(), .external = std::move(memory), .view = *std::move(view)};
  }
  auto session = std::make_unique<ThreadedSourceSession>(std::move(guest), *std::move(lease), std::move(options));
  if (absl::Status started = session->Start(); !started.ok()) return started;
  return session;
}

ThreadedSourceSession::ThreadedSourceSession(Guest guest, MemoryLease lease, SourceOptions options)
    : options_(std::move(options)),
      external_(std::move(guest.external)),
      view_(std::move(guest.view)),
      core_(std::move(guest.memory), std::move(lease), options_.on_event),
      resources_(core_) {}

ThreadedSourceSession::~ThreadedSourceSession() {
  std::thread push_starter;
  {
    const MutexLock lock(&guest_mutex_);
    push_starter = std::move(push_starter_);
  }
  if (push_starter.joinable()) push_starter.join();
  late_memory_.reset();
  if (thread_ != nullptr) {
    // The peer hears why, or that it may go.
    thread_->Call([this] { engine_->Fail(absl::CancelledError("the source's session has been ended")); });
    const ControlLink& link = *core_.connection.link;
    thread_->WaitUntil([&link] { return link.flushed() || !link.status().ok(); }, Deadline::After(kFarewell));
    thread_->Stop();
  }
  core_.CloseChannels();
}

absl::Status ThreadedSourceSession::Start() {
  auto rendezvous = Rendezvous::Create(Role::kSource, options_, options_.spin > absl::ZeroDuration(), core_.events);
  if (!rendezvous.ok()) return rendezvous.status();
  auto connection = (*rendezvous)->Meet([this](Connection& peer) { return AgreeOnRegions(peer); });
  core_.transport = (*rendezvous)->TakeTransport();
  if (!connection.ok()) return connection.status();
  core_.connection = *std::move(connection);
  absl::Status status = resources_.Register();
  if (status.ok()) status = resources_.Exchange(options_);
  if (status.ok()) status = StartEngine();
  return status.ok() ? status : core_.Abandon(status);
}

absl::StatusOr<Rendezvous::Agreement> ThreadedSourceSession::AgreeOnRegions(Connection& connection) {
  ControlLink& link = *connection.link;
  link.Send(MessageType::kRegions, EncodeRegions(core_.memory));
  const auto answer =
      WaitForMessage(link, "answer to the list of regions", Deadline::After(options_.handshake_timeout));
  if (!answer.ok()) return answer.status();
  if (answer->type == MessageType::kRegionsAccepted) return Rendezvous::Agreement::kSession;
  if (answer->type == MessageType::kDescribed) return Rendezvous::Agreement::kPeerLeft;
  return absl::DataLossError("the destination's answer to the list of regions makes no sense");
}

absl::Status ThreadedSourceSession::StartEngine() {
  engine_ = std::make_unique<SourceEngine>(resources_.MakeWorld(*options_.predictor), options_.push);
  auto thread = EngineThread::Create({.name = "ff-source",
                                      .spin = options_.spin,
                                      .poll = [this] { return Round(); },
                                      .tick = [this] { Tick(); },
                                      .nap = [this] { return engine_->waits_for_credit(); },
                                      .rest = [this] { return engine_->at_rest(); }},
                                     resources_.MakeSleeper());
  if (!thread.ok()) return thread.status();
  if (absl::Status started = (*thread)->Start(); !started.ok()) return started;
  thread_ = *std::move(thread);
  late_memory_ = std::make_unique<LateMemory>(core_, resources_.memory(), *engine_, *thread_);
  late_memory_->Start();
  core_.Publish(SessionState::kPrepared, absl::OkStatus());
  const MutexLock lock(&guest_mutex_);
  pre_pager_ = std::make_unique<PrePager>(core_, *engine_, *thread_, *late_memory_,
                                          PrePager::Tracking{options_.track_dirty, options_.track_history,
                                                             options_.dirty_log, external_ ? &*external_ : nullptr},
                                          options_.handshake_timeout);
  return absl::OkStatus();
}

EngineThread::Round ThreadedSourceSession::Round() {
  const bool progress = engine_->Poll();
  const Phase phase = engine_->phase();
  if (phase == Phase::kFailed || phase == Phase::kDrained) GoQuiet(phase);
  // It may have changed in a call between two rounds as well.
  if (phase == std::exchange(seen_phase_, phase)) {
    return progress ? EngineThread::Round::kUrgent : EngineThread::Round::kIdle;
  }
  if (phase == Phase::kSwitchedOver) core_.Publish(SessionState::kSwitchedOver, absl::OkStatus());
  if (phase == Phase::kDrained) {
    resources_.memory().Revoke();
    core_.Publish(SessionState::kResident, absl::OkStatus());
    core_.events.Send(EventKind::kDrained);
  }
  if (phase == Phase::kFailed) core_.Publish(SessionState::kFailed, engine_->failure());
  return EngineThread::Round::kUrgent;
}

/// At the end nobody polls the push channels: they must not keep this thread awake, nor the control channel once the
/// peer has left. Of a failure the peer should hear the reason before it sees channels close.
void ThreadedSourceSession::GoQuiet(Phase phase) {
  if (hung_up_) return;
  if (ended_at_ == 0) ended_at_ = core_.clock.Now();
  const ControlLink& link = *core_.connection.link;
  const bool lost = !link.status().ok();
  const bool told = lost || link.flushed() || core_.clock.Now() - ended_at_ >= absl::ToInt64Nanoseconds(kFarewell);
  if (!told && phase == Phase::kFailed) return;
  for (const auto& channel : core_.connection.push) channel->Close();
  if (lost) core_.connection.control->Close();
  hung_up_ = lost || phase == Phase::kFailed;
}

void ThreadedSourceSession::Tick() {
  core_.ReportTrouble();
  if (engine_->phase() != Phase::kSwitchedOver || !core_.events.has_listener()) return;
  core_.ReportMoved(engine_->fresh().Count());
}

absl::Status ThreadedSourceSession::status() const {
  if (state() != SessionState::kFailed) return absl::OkStatus();
  absl::Status status;
  thread_->Call([&] { status = engine_->failure(); });
  return status;
}

SessionStats ThreadedSourceSession::Stats() const {
  SessionStats stats;
  thread_->Call([&] { stats = engine_->Stats(); });
  core_.connection.CountLimits(*core_.transport, stats);
  stats.switchover_ns = switchover_ns_;
  stats.prepage_rounds = prepage_rounds_;
  stats.metadata_bytes_per_page +=
      static_cast<double>(prepage_metadata_) / static_cast<double>(core_.layout.total_pages());
  return stats;
}

void ThreadedSourceSession::Cancel() {
  thread_->Call([this] {
    engine_->Fail(absl::CancelledError("the source has cancelled the session"));
    // A session that is drained has come to its end.
    if (engine_->phase() == Phase::kFailed) core_.Publish(SessionState::kClosed, absl::OkStatus());
  });
}

absl::Status ThreadedSourceSession::CheckBeforeSwitchOver(const char* what) const {
  const SessionState now = state();
  if (now == SessionState::kPrepared) return absl::OkStatus();
  if (now == SessionState::kFailed || now == SessionState::kClosed) {
    if (absl::Status why = WhyNotHandedOver(); !why.ok()) return why;
  }
  return absl::FailedPreconditionError(
      fmt::format("{} belongs before the switchover, and the session is {}", what, SessionStateName(now)));
}

absl::StatusOr<PrePageReport> ThreadedSourceSession::PrePage(const PrePageBudget& budget) {
  if (absl::Status checked = CheckBudget(budget, core_.memory); !checked.ok()) return checked;
  const MutexLock lock(&guest_mutex_);
  if (absl::Status allowed = CheckBeforeSwitchOver("PrePage"); !allowed.ok()) return allowed;
  auto report = pre_pager_->Run(budget);
  prepage_metadata_ = pre_pager_->metadata_bytes();
  if (report.ok()) prepage_rounds_ += report->rounds;
  // A destination that failed has reasons of its own, which would say something else here.
  if (absl::Status why = WhyNotHandedOver(); !report.ok() && !why.ok()) return why;
  return report;
}

absl::Status ThreadedSourceSession::ReportDirty(std::span<const PageRun> dirty) {
  if (options_.track_dirty) {
    return absl::FailedPreconditionError(
        "ReportDirty needs SourceOptions::track_dirty off: otherwise the session finds out by itself");
  }
  for (const PageRun& run : dirty) {
    if (!core_.layout.Contains(run)) {
      return absl::InvalidArgumentError(fmt::format("dirty pages {} to {} are not in the memory, which has {} pages",
                                                    run.first, run.end(), core_.layout.total_pages()));
    }
  }
  const MutexLock lock(&guest_mutex_);
  if (absl::Status allowed = CheckBeforeSwitchOver("ReportDirty"); !allowed.ok()) return allowed;
  pre_pager_->MarkStale(dirty);
  return absl::OkStatus();
}

// Whoever has heard that it is drained may free the memory. Not earlier, where the guest is in another process: taking
// dirty tracking off holds a lock that the page faults of that process need, and a hypervisor has the state of its
// devices to send just then.
void ThreadedSourceSession::LetGoOfGuest() {
  push_started_.Wait();
  const MutexLock lock(&guest_mutex_);
  StopTracking();
}

void ThreadedSourceSession::StopTracking() {
  if (absl::Status stopped = pre_pager_->Stop(); !stopped.ok()) {
    core_.events.Send(EventKind::kHint, fmt::format("dirty tracking did not end cleanly: {}", StatusText(stopped)));
  }
}

absl::Status ThreadedSourceSession::WaitUntilDrained(absl::Duration timeout) {
  absl::Status failure;
  const auto over = [&] {
    failure = engine_->failure();
    // As for SwitchOver: its reasons are not this side's.
    if (engine_->refused()) failure = absl::AbortedError(failure.message());
    return engine_->phase() == Phase::kDrained || engine_->phase() == Phase::kFailed;
  };
  if (thread_->WaitUntil(over, Deadline::After(timeout))) {
    if (failure.ok()) LetGoOfGuest();
    return failure;
  }
  return absl::DeadlineExceededError(fmt::format(
      "the destination does not have every page after {}; wait longer, let it fetch the rest (FetchRest), or "
      "push",
      absl::FormatDuration(timeout)));
}

}  // namespace farfault
