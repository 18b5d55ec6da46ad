#include "lib/runtime/destination_session.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <utility>

#include "lib/runtime/check_options.h"
#include "lib/runtime/take_over.h"
#include "lib/session/handshake.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr absl::Duration kFarewell = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<DestinationSession>> DestinationSession::Create(GuestMemory memory,
                                                                               DestinationOptions options) {
  if (absl::Status checked = CheckOptions(options, memory); !checked.ok()) return checked;
  auto lease = MemoryLease::Take(memory);
  if (!lease.ok()) return lease.status();
  auto session = std::make_unique<ThreadedDestinationSession>(std::move(memory), *std::move(lease), std::move(options));
  if (absl::Status started = session->Start(); !started.ok()) return started;
  return session;
}

ThreadedDestinationSession::ThreadedDestinationSession(GuestMemory memory, MemoryLease lease,
                                                       DestinationOptions options)
    : options_(std::move(options)), core_(std::move(memory), std::move(lease), options_.on_event) {}

ThreadedDestinationSession::~ThreadedDestinationSession() {
  if (thread_ == nullptr) {
    if (core_.connection.link != nullptr) {
      core_.Abandon(absl::CancelledError("the destination's session has been ended")).IgnoreError();
    }
    core_.CloseChannels();
    return;
  }
  // A source that does not hear of the last page would call it a failure: wait for its goodbye.
  thread_->Call([this] { GiveUp("the destination's session has been ended"); });
  thread_->WaitUntil(
      [this] {
        const bool told = core_.connection.link->flushed() || !core_.connection.link->status().ok();
        return engine_->phase() == Phase::kDone || (engine_->phase() == Phase::kFailed && told);
      },
      Deadline::After(kFarewell));
  thread_->Stop();
  core_.CloseChannels();
  if (!finished_ || !finish_status_.ok()) KeepMissingPagesParked();
}

void ThreadedDestinationSession::KeepMissingPagesParked() {
  if (!engine_->guest_may_run()) {
    // It never ran here; whoever owns the memory may use it for something else.
    resources_.placement().DisarmUnused().IgnoreError();
    return;
  }
  // Whoever has handed the userfaultfd over holds it open.
  if (core_.memory.external() != nullptr) return;
  // Closing the last descriptor would turn missing pages into zeros: this one stays open until the process ends.
  resources_.KeepUserfaultfdOpen();
}

absl::Status ThreadedDestinationSession::Start() {
  const ExternalGuest* const external = core_.memory.external();
  const GuestProcess guest(external == nullptr ? 0 : external->pid);
  if (options_.populate_early) {
    if (absl::Status populated = resources_.PopulateEarly(core_, options_); !populated.ok()) return populated;
  }
  auto rendezvous =
      Rendezvous::Create(Role::kDestination, options_, options_.spin > absl::ZeroDuration(), core_.events);
  if (!rendezvous.ok()) return rendezvous.status();
  (*rendezvous)->WatchGuest(guest);
  auto connection = (*rendezvous)->Meet([this](Connection& peer) {
    return AgreeOnRegions(*peer.link, core_.memory, Deadline::After(options_.handshake_timeout));
  });
  core_.transport = (*rendezvous)->TakeTransport();
  if (!connection.ok()) return connection.status();
  core_.connection = *std::move(connection);
  // The source may have to pin all of its memory first.
  const absl::Duration patience =
      core_.transport->pins_memory() ? options_.prepare_timeout : options_.handshake_timeout;
  auto offer = ReceiveSourceOffer(*core_.connection.link, core_.layout, Deadline::After(patience));
  if (!offer.ok()) return core_.Abandon(offer.status());
  offer_ = *std::move(offer);
  return absl::OkStatus();
}

absl::Status ThreadedDestinationSession::Prepare() {
  const MutexLock lock(&prepare_mutex_);
  if (std::exchange(prepare_called_, true)) return absl::FailedPreconditionError("Prepare has been called already");
  if (state() != SessionState::kConnected) return absl::FailedPreconditionError("the session has ended");
  absl::Status status = resources_.Prepare(core_, options_, offer_.holes);
  if (status.ok()) status = MakeEngine();
  if (status.ok()) status = StartEngine();
  if (!status.ok()) return GiveUpPreparing(status);
  // Runs behind a whole round of the engine, which sees that the source has left meanwhile. It takes no faults then.
  absl::Status failed;
  thread_->Call([&] {
    failed = engine_->failure();
    if (!failed.ok() && !engine_->guest_may_run()) DisarmUnused();
  });
  return failed;
}

void ThreadedDestinationSession::DisarmUnused() {
  if (absl::Status disarmed = resources_.placement().DisarmUnused(); !disarmed.ok()) {
    core_.events.Send(EventKind::kHint, fmt::format("the memory is still armed: {}", StatusText(disarmed)));
  }
}

absl::Status ThreadedDestinationSession::GiveUpPreparing(const absl::Status& why) {
  thread_.reset();
  engine_.reset();
  // Nobody would read its faults.
  if (resources_.has_placement()) DisarmUnused();
  bool cancelled = false;
  {
    const MutexLock lock(&cancel_mutex_);
    cancelled = cancelled_;
    if (!cancelled) prepare_status_ = why;
  }
  if (cancelled) return core_.Abandon(absl::CancelledError("the session was cancelled while it was being prepared"));
  core_.Publish(SessionState::kFailed, why);
  return core_.Abandon(why);
}

absl::Status ThreadedDestinationSession::MakeEngine() {
  auto thread = EngineThread::Create(
      {.name = "ff-pager", .spin = options_.spin, .poll = [this] { return Round(); }, .tick = [this] { Tick(); }},
      resources_.MakeSleeper(core_));
  if (!thread.ok()) return thread.status();
  const ExternalGuest* const external = core_.memory.external();
  const bool runs_early = external != nullptr && (external->running || external->taken_over);
  engine_ = std::make_unique<DestinationEngine>(
      resources_.MakeWorld(core_, offer_.source),
      DestinationEngine::Config{.demand_slots = static_cast<std::uint32_t>(options_.max_outstanding_faults),
                                .map_around_pages = options_.map_around_pages,
                                .faults = {.record = options_.record_faults, .runs_early = runs_early}});
  thread_ = *std::move(thread);
  const GuestPlacement& placement = resources_.placement();
  for (const PageLayout::RegionPages& region : core_.layout.regions()) {
    if (!placement.takes_prepaged(region.pages.first)) engine_->RefusePrePaged(region.pages);
  }
  if (external == nullptr || !external->taken_over) return absl::OkStatus();
  return TakeOver(*engine_, placement.mapped_before(), *core_.connection.demand.front(), offer_.source,
                  Deadline::After(options_.prepare_timeout));
}

absl::Status ThreadedDestinationSession::StartEngine() {
  const std::vector<Extent> frames = resources_.placement().frames();
  const std::vector<RemoteMemory> staging = resources_.placement().staging_memory();
  const MutexLock lock(&cancel_mutex_);
  if (cancelled_) return absl::CancelledError("the session was cancelled");
  if (absl::Status started = thread_->Start(); !started.ok()) return started;
  // Before anybody can have the engine say more.
  thread_->Call([&] {
    SendExtents(*core_.connection.link, frames);
    core_.connection.link->Send(MessageType::kDestinationMemory, EncodeStaging(staging));
  });
  core_.Publish(SessionState::kPrepared, absl::OkStatus());
  running_thread_.store(thread_.get(), std::memory_order_release);
  return absl::OkStatus();
}

absl::Status ThreadedDestinationSession::status() const {
  if (state() != SessionState::kFailed) return absl::OkStatus();
  if (running_thread() == nullptr) {
    const MutexLock lock(&cancel_mutex_);
    // The engine may have started and failed while we waited for the lock.
    if (running_thread() == nullptr) return prepare_status_;
  }
  absl::Status status;
  running_thread()->Call([&] { status = finish_status_.ok() ? engine_->failure() : finish_status_; });
  return status;
}

SessionStats ThreadedDestinationSession::Stats() const {
  SessionStats stats;
  if (EngineThread* const thread = running_thread()) thread->Call([&] { stats = engine_->Stats(); });
  stats.total_pages = core_.layout.total_pages();
  core_.connection.CountLimits(*core_.transport, stats);
  return stats;
}

void ThreadedDestinationSession::Cancel() {
  {
    const MutexLock lock(&cancel_mutex_);
    cancelled_ = true;
    if (running_thread() == nullptr) {
      core_.Publish(SessionState::kClosed, absl::OkStatus());
      core_.connection.control->Close();
      return;
    }
  }
  running_thread()->Call([this] {
    GiveUp("the destination has cancelled the session");
    // With every page here the session comes to its end by itself.
    if (engine_->phase() == Phase::kFailed) core_.Publish(SessionState::kClosed, absl::OkStatus());
  });
}

void ThreadedDestinationSession::GiveUp(const char* why) {
  const Phase phase = engine_->phase();
  if (phase != Phase::kResident && phase != Phase::kDone) engine_->Fail(absl::CancelledError(why));
}

absl::Status ThreadedDestinationSession::CheckPrepared(const char* what) const {
  if (running_thread() != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format("{} comes after Prepare", what));
}

absl::Status ThreadedDestinationSession::Activate(absl::Duration timeout) {
  if (absl::Status prepared = CheckPrepared("Activate"); !prepared.ok()) return prepared;
  absl::Status failure;
  const auto over = [&] {
    failure = engine_->failure();
    return engine_->guest_may_run() || engine_->phase() == Phase::kFailed;
  };
  running_thread()->Call([this] { engine_->AllowActivation(); });
  if (running_thread()->WaitUntil(over, Deadline::After(timeout))) return failure;
  return absl::DeadlineExceededError(
      fmt::format("the source did not switch over within {}; call Activate again, or Cancel to give up",
                  absl::FormatDuration(timeout)));
}

absl::Status ThreadedDestinationSession::FetchRest() {
  if (absl::Status prepared = CheckPrepared("FetchRest"); !prepared.ok()) return prepared;
  absl::Status failure;
  running_thread()->Call([&] {
    engine_->FetchRest();
    failure = engine_->failure();
  });
  return failure;
}

absl::Status ThreadedDestinationSession::Fetch(std::vector<PageRun> order) {
  if (absl::Status prepared = CheckPrepared("Fetch"); !prepared.ok()) return prepared;
  for (const PageRun& run : order) {
    if (core_.layout.Contains(run)) continue;
    return absl::InvalidArgumentError(fmt::format("pages {} to {} are not in the memory, which has {} pages", run.first,
                                                  run.end(), core_.layout.total_pages()));
  }
  absl::Status failure;
  running_thread()->Call([&] {
    engine_->Fetch(std::move(order));
    failure = engine_->failure();
  });
  return failure;
}

std::vector<PageIndex> ThreadedDestinationSession::FaultOrder() const {
  std::vector<PageIndex> faults;
  if (EngineThread* const thread = running_thread()) thread->Call([&] { faults = engine_->fault_order(); });
  return faults;
}

absl::Status ThreadedDestinationSession::WaitUntilResident(absl::Duration timeout) {
  if (absl::Status prepared = CheckPrepared("WaitUntilResident"); !prepared.ok()) return prepared;
  absl::Status failure;
  const auto over = [&] {
    failure = finished_ ? finish_status_ : engine_->failure();
    return finished_ || engine_->phase() == Phase::kFailed;
  };
  if (running_thread()->WaitUntil(over, Deadline::After(timeout))) return failure;
  std::uint64_t resident = 0;
  running_thread()->Call([&] { resident = engine_->resident_pages(); });
  return absl::DeadlineExceededError(
      fmt::format("{} of {} pages are here after {}; wait longer, or call FetchRest when the source does not push",
                  resident, core_.layout.total_pages(), absl::FormatDuration(timeout)));
}

}  // namespace farfault
