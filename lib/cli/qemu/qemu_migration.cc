#include "lib/cli/qemu/qemu_migration.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/util/status_text.h"
#include "lib/util/stopwatch.h"

namespace farfault {
namespace {

constexpr absl::Duration kConnectPatience = absl::Seconds(5);
constexpr absl::Duration kPagerPatience = absl::Seconds(30);
constexpr absl::Duration kQuitPatience = absl::Seconds(5);
// Of one that may wait for memory which nobody brings, and for which the guest waits at the source.
constexpr absl::Duration kDeafQuitPatience = absl::Milliseconds(500);
constexpr absl::Duration kEndingPatience = absl::Milliseconds(50);

}  // namespace

RamServerOptions ServerOptions(const QemuMigrationOptions& options) {
  return {.pager = options.pager,
          .key = options.key,
          .predictor = options.predictor,
          .push = options.push,
          .prepare_timeout = options.timeout,
          .reconnect_timeout = options.reconnect_timeout,
          .on_event = options.on_event};
}

absl::StatusOr<QemuMigrationReport> QemuMigration::Run() {
  const Stopwatch watch;
  absl::Status status = Prepare();
  if (status.ok()) status = HandOver();
  if (!handed_over_) return GoOnAtSource(status);
  auto drained = server_.Drain(std::move(session_), machine_.ram_path);
  if (!drained.ok()) return drained.status();
  report_.total = watch.Elapsed();
  report_.stats = *std::move(drained);
  // It may want to move on by QEMU's own means. Now that all of its pages are there QEMU listens.
  destination_->PutBack().IgnoreError();
  uninterrupted_.reset();
  if (absl::Status running = CheckRunning(); !running.ok()) return running;
  if (options_.quit_source) static_cast<void>(source_->Quit(options_.timeout));
  return report_;
}

// QEMU carries commands out in their order: one that was not answered came before this question.
absl::Status QemuMigration::CheckRunning() {
  if (started_.ok()) return started_;
  const auto state = destination_->RunState();
  if (state.ok() && *state == "running") {
    NoteStart();
    return absl::OkStatus();
  }
  const bool waits = state.ok() && (*state == "paused" || *state == "prelaunch");
  const std::string there = state.ok() ? fmt::format("it is '{}' there{}", *state, waits ? ", and cont runs it" : "")
                                       : std::string(StatusText(state.status()));
  return absl::Status(
      started_.code(),
      fmt::format("{}{}; the guest has been handed over and all of its memory is at the destination: {}",
                  StatusText(started_), Because(destination_->late_refusal()), there));
}

void QemuMigration::NoteStart() {
  report_.downtime = last_running_->Elapsed();
  if (paused_by_user_) return;
  report_.stopped_at = source_->WhenStopped();
  report_.resumed_at = destination_->WhenResumed();
}

absl::Status QemuMigration::Prepare() {
  if (absl::Status status = Connect(); !status.ok()) return status;
  if (absl::Status status = CheckEnds(); !status.ok()) return status;
  if (absl::Status status = source_->SetUp(/*source=*/true); !status.ok()) return status;
  if (absl::Status status = destination_->SetUp(/*source=*/false); !status.ok()) return status;
  if (absl::Status status = destination_->ListenForState(options_.state_uri); !status.ok()) return status;
  // Nothing runs there before we say so: until then a failure leaves the guest at the source.
  if (absl::Status status = destination_->Stop(options_.timeout); !status.ok()) return status;
  if (absl::Status status = OpenSession(); !status.ok()) return status;
  return PrePage();
}

absl::Status QemuMigration::Connect() {
  auto source = QmpClient::Connect("source", options_.source_qmp, kConnectPatience);
  if (!source.ok()) return source.status();
  source_.emplace(*std::move(source));
  auto destination = QmpClient::Connect("destination", options_.destination_qmp, kConnectPatience);
  if (!destination.ok()) return destination.status();
  destination_.emplace(*std::move(destination));
  return absl::OkStatus();
}

absl::StatusOr<GuestMemory> QemuMigration::SourceMemory() {
  if (options_.agent.empty()) return server_.MapFile(machine_.ram_path);
  auto tracked = AskForRam(options_.agent, kConnectPatience);
  if (!tracked.ok()) return tracked.status();
  tracked_ = *std::move(tracked);
  tracked_->region.name = RamServer::kRegionName;
  if (absl::Status same = CheckAgent(); !same.ok()) return same;
  return GuestMemory::CreateExternal({tracked_->region}, tracked_->guest);
}

// Another guest's RAM of the same size would arrive in the place of this one's.
absl::Status QemuMigration::CheckAgent() const {
  struct stat agents{};
  struct stat backends{};
  const bool another = fstat(tracked_->file.get(), &agents) == 0 && stat(machine_.ram_path.c_str(), &backends) == 0 &&
                       (agents.st_dev != backends.st_dev || agents.st_ino != backends.st_ino);
  if (tracked_->bytes() == machine_.bytes && !another) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "the agent at {} has {} bytes of RAM in another file than {}, where the source's QEMU has {}: it is another "
      "guest's. Name the FARFAULT_AGENT of that QEMU, and give it its own RAM file as FARFAULT_RAM",
      options_.agent, tracked_->bytes(), machine_.ram_path, machine_.bytes));
}

absl::Status QemuMigration::OpenSession() {
  auto memory = SourceMemory();
  if (!memory.ok()) return memory.status();
  auto session = server_.Meet(*std::move(memory), tracked_.has_value(), std::min(options_.timeout, kPagerPatience));
  if (absl::IsUnavailable(session.status()) || absl::IsDeadlineExceeded(session.status())) {
    return OfPager(session.status());
  }
  if (!session.ok()) return session.status();
  session_ = *std::move(session);
  return absl::OkStatus();
}

absl::Status QemuMigration::PrePage() {
  if (!tracked_ || (options_.prepage_time <= absl::ZeroDuration() && options_.prepage_bytes == 0)) {
    return absl::OkStatus();
  }
  const auto direct = source_->DirectDrives();
  if (!direct.ok()) return direct.status();
  if (!direct->empty()) {
    server_.Hint(fmt::format(
        "nothing is pre-paged: {} read past the page cache (cache=none, cache.direct=on), straight into RAM and "
        "unseen by dirty tracking",
        *direct));
    return absl::OkStatus();
  }
  if (!unseen_writers_.empty()) {
    server_.Hint(fmt::format(
        "nothing is pre-paged: processes of their own write to RAM for {}, unseen by dirty tracking", unseen_writers_));
    return absl::OkStatus();
  }
  PrePageBudget budget;
  budget.time = options_.prepage_time;
  budget.bytes = options_.prepage_bytes;
  auto report = session_->PrePage(budget);
  if (!report.ok()) return report.status();
  report_.prepaged = *report;
  return absl::OkStatus();
}

absl::Status QemuMigration::HandOver() {
  uninterrupted_.emplace();
  const auto last_running = StopGuest();
  if (!last_running.ok()) return last_running.status();
  last_running_ = *last_running;
  if (absl::Status status = SwitchOver(); !status.ok()) return status;
  if (absl::Status status = StartGuest(); !status.ok()) return status;
  if (started_.ok()) NoteStart();
  return absl::OkStatus();
}

// QEMU's own migration stops it: connecting and setting up, and what little RAM is not shared, come before that.
absl::StatusOr<Stopwatch> QemuMigration::StopGuest() {
  const auto state = source_->RunState();
  if (!state.ok()) return state.status();
  paused_by_user_ = *state == "paused";
  stopped_ = !paused_by_user_;  // Whatever becomes of the command: QEMU may carry it out late.
  sending_ = true;
  if (absl::Status status = source_->BeginSending(options_.state_uri); !status.ok()) return status;
  return source_->WaitUntilStopped(options_.timeout);
}

// The state of the devices travels while the memory is handed over. Loading it looks at the guest's queues, and that
// waits: before it has taken over the pager answers no fault. Where the guest stands still anyway nothing is won, and
// what has not been sent leaves the source's QEMU as it was if the memory cannot be handed over.
absl::Status QemuMigration::SwitchOver() {
  if (!paused_by_user_) {
    if (absl::Status status = FinishSending(); !status.ok()) return status;
  }
  if (absl::Status status = HandMemoryOver(); !status.ok()) return status;
  if (paused_by_user_) {
    if (absl::Status status = FinishSending(); !status.ok()) return status;
  }
  const auto served = [this] { return session_->status(); };
  if (absl::Status status = source_->WaitUntilSent(options_.timeout, served); !status.ok()) return status;
  return destination_->WaitForState(options_.timeout, served);
}

absl::Status QemuMigration::FinishSending() {
  absl::Status status = source_->FinishSending();
  state_travels_ = !absl::IsFailedPrecondition(status);  // Else QEMU has refused.
  return status;
}

absl::Status QemuMigration::HandMemoryOver() {
  absl::Status status = session_->SwitchOver();
  memory_handed_over_ = status.ok();
  if (!absl::IsDataLoss(status)) return status;
  // Whatever the pager has made of it: only we tell the destination's QEMU to run the guest.
  return absl::AbortedError(
      fmt::format("the pager did not say whether it has taken the memory over: {}", StatusText(session_->status())));
}

absl::Status QemuMigration::StartGuest() {
  // Here is still a way back.
  if (absl::Status lost = session_->status(); !lost.ok()) return lost;
  if (!paused_by_user_) {
    // QEMU is deaf while its main loop waits for a page, and one that a lost pager owes comes only when Drain has found
    // the next.
    started_ = destination_->ContinueWhile(options_.timeout, [this] { return session_->status().ok(); });
    // A refusal means that it has not run there. Anything else that is not OK means that it may.
    if (absl::IsFailedPrecondition(started_) || absl::IsUnimplemented(started_)) return started_;
  }
  handed_over_ = true;
  return absl::OkStatus();
}

// The source's memory has not changed since it was stopped, and the destination's guest has never run. That QEMU ends
// first: it may hold the guest's disks.
absl::Status QemuMigration::GoOnAtSource(const absl::Status& failure) {
  absl::Status why = NameWhoHasGone(failure);
  if (session_ != nullptr) session_->Cancel();
  session_.reset();
  if (!source_) return why;
  absl::Status outcome = GiveGuestBack(why);
  // Best effort: whoever cannot be told has ended, and a destination that has is started anew.
  source_->PutBack().IgnoreError();
  uninterrupted_.reset();
  return outcome;
}

absl::Status QemuMigration::OfPager(const absl::Status& why) const {
  return absl::Status(why.code(), fmt::format("the pager at {}: {}", options_.pager, StatusText(why)));
}

// Who notices that an end has gone may know it by another name, or only that nobody answers.
absl::Status QemuMigration::NameWhoHasGone(const absl::Status& why) {
  absl::Status named = why;
  const absl::Status lost = session_ == nullptr ? absl::OkStatus() : session_->status();
  const auto says = [&why](std::string_view words) { return StatusText(why).find(words) != std::string_view::npos; };
  if (!lost.ok() && says(StatusText(lost)) && !says("the pager")) named = OfPager(why);
  // One that ends closes its other connections first.
  const absl::Duration grace = sending_ ? kEndingPatience : absl::ZeroDuration();
  if (destination_ && !says("destination's QEMU has gone") && destination_->HasGone(grace)) {
    named = absl::Status(why.code(), fmt::format("{}; the destination's QEMU has gone", StatusText(named)));
  }
  return named;
}

absl::Status QemuMigration::GiveGuestBack(const absl::Status& why) {
  const std::string reason(StatusText(why));
  if (sending_ && destination_) {
    if (!memory_handed_over_ && state_travels_) BreakOff();
    // It does not listen while it waits for a page that does not come.
    const absl::Duration patience = memory_handed_over_ ? kQuitPatience : kDeafQuitPatience;
    if (absl::Status gone = destination_->Quit(std::min(options_.timeout, patience)); !gone.ok()) {
      server_.Hint(
          fmt::format("the destination's QEMU does not end by itself, kill it (SIGKILL): {}", StatusText(gone)));
    }
    if (absl::Status ended = source_->CancelSending(options_.timeout); !ended.ok()) {
      server_.Hint(std::string(StatusText(ended)));
    }
  }
  if (paused_by_user_) {
    return absl::Status(why.code(),
                        fmt::format("{}; the guest stays paused at the source, where cont lets it go on", reason));
  }
  if (!stopped_) return NothingStopped(why);
  if (absl::Status resumed = source_->ContinueSoon(options_.timeout); !resumed.ok()) {
    return absl::DataLossError(fmt::format(
        "{}; and the guest does not go on at the source, where its memory still is: {}", reason, StatusText(resumed)));
  }
  return absl::Status(why.code(), fmt::format("{}; the guest goes on at the source", reason));
}

// Both may be deaf: the destination waits for memory that does not come, and the source for the destination to read.
void QemuMigration::BreakOff() {
  absl::Status status = source_->BreakOff();
  if (!status.ok() && !absl::IsUnimplemented(status)) server_.Hint(std::string(StatusText(status)));
}

absl::Status QemuMigration::NothingStopped(const absl::Status& why) {
  const bool ended = absl::IsUnavailable(source_->RunState().status());
  return absl::Status(why.code(), fmt::format("{}; {}", StatusText(why),
                                              ended ? "the source's QEMU has ended, and its guest with it"
                                                    : "the guest runs on at the source"));
}

}  // namespace farfault
