#include "lib/cli/qemu/qemu_migration.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr absl::Duration kConnectPatience = absl::Seconds(5);
constexpr absl::Duration kPagerPatience = absl::Seconds(30);
constexpr std::string_view kRegionName = "ram";

absl::Status Differ(std::string_view what, const auto& source, const auto& destination, std::string_view remedy) {
  return absl::FailedPreconditionError(
      fmt::format("the two QEMUs differ in {}: source {}, destination {}. {}", what, source, destination, remedy));
}

}  // namespace

absl::StatusOr<QemuMigrationReport> QemuMigration::Run() {
  const absl::Time start = absl::Now();
  absl::Status status = Prepare();
  if (status.ok()) status = HandOver();
  if (!handed_over_) return GoOnAtSource(status);
  if (absl::Status drained = Drain(); !drained.ok()) return drained;
  report_.total = absl::Now() - start;
  report_.stats = session_->Stats();
  session_.reset();
  uninterrupted_.reset();
  if (!started_.ok()) return started_;
  if (options_.quit_source) static_cast<void>(source_->Quit(options_.timeout));
  return report_;
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

absl::Status QemuMigration::CheckEnds() {
  auto source = source_->Describe();
  if (!source.ok()) return source.status();
  const auto destination = destination_->Describe();
  if (!destination.ok()) return destination.status();
  if (source->type != destination->type) {
    return Differ("the machine type", source->type, destination->type,
                  "Name the source's with its version: -machine pc-q35-7.2,…");
  }
  if (source->bytes != destination->bytes) {
    return Differ("the size of the RAM", source->bytes, destination->bytes, "Give both the same size= and -m");
  }
  if (destination->prealloc) {
    return absl::FailedPreconditionError(
        "the destination's memory backend says prealloc=on: QEMU would wait there for pages that come only after the "
        "switchover. Leave it out; farfault populates the file itself");
  }
  const auto running = source_->RunState();
  if (!running.ok()) return running.status();
  if (*running != "running" && *running != "paused") {
    return absl::FailedPreconditionError(
        fmt::format("the source's guest is '{}': only one that is running or paused can be moved", *running));
  }
  const auto waiting = destination_->RunState();
  if (!waiting.ok()) return waiting.status();
  if (*waiting != "inmigrate") {
    return absl::FailedPreconditionError(fmt::format(
        "the destination's QEMU is '{}' and does not wait for a guest: start it with -incoming defer", *waiting));
  }
  machine_ = *std::move(source);
  report_.ram_bytes = machine_.bytes;
  return absl::OkStatus();
}

absl::StatusOr<GuestMemory> QemuMigration::SourceMemory() {
  if (options_.agent.empty()) return RamFile();
  auto tracked = AskForRam(options_.agent, kConnectPatience);
  if (!tracked.ok()) return tracked.status();
  tracked_ = *std::move(tracked);
  tracked_->region.name = kRegionName;
  if (tracked_->bytes() != machine_.bytes) {
    return absl::FailedPreconditionError(
        fmt::format("the agent at {} has {} bytes of RAM, the source's QEMU {}: it is another guest's", options_.agent,
                    tracked_->bytes(), machine_.bytes));
  }
  return GuestMemory::CreateExternal({tracked_->region}, tracked_->guest);
}

// The RAM as this process maps it: enough where nothing is pre-paged.
absl::StatusOr<GuestMemory> QemuMigration::RamFile() {
  auto ram = OwnedRegion::OpenFile(machine_.ram_path);
  if (!ram.ok()) {
    return absl::Status(
        ram.status().code(),
        fmt::format("the source's RAM file: {}. Run this on the source's host, as a user who may read it",
                    StatusText(ram.status())));
  }
  ram_ = *std::move(ram);
  Region region = ram_.region();
  region.name = kRegionName;
  return GuestMemory::Create({region});
}

absl::StatusOr<std::unique_ptr<SourceSession>> QemuMigration::Open(GuestMemory memory, bool track_dirty,
                                                                   absl::Duration patience) {
  auto predictor = MakePredictor(options_.predictor);
  if (!predictor.ok()) return predictor.status();
  SourceOptions session;
  session.connect = options_.pager;
  session.pre_shared_key = options_.key;
  session.peer_timeout = patience;
  session.prepare_timeout = options_.timeout;
  session.predictor = *std::move(predictor);
  session.push.enabled = options_.push;
  session.track_dirty = track_dirty;
  session.track_history = false;
  session.on_event = options_.on_event;
  return SourceSession::Create(std::move(memory), std::move(session));
}

absl::Status QemuMigration::OpenSession() {
  auto memory = SourceMemory();
  if (!memory.ok()) return memory.status();
  auto session = Open(*std::move(memory), tracked_.has_value(), std::min(options_.timeout, kPagerPatience));
  if (!session.ok()) return session.status();
  session_ = *std::move(session);
  return absl::OkStatus();
}

void QemuMigration::Hint(std::string text) const {
  if (options_.on_event) options_.on_event({.kind = EventKind::kHint, .done = 0, .total = 0, .text = std::move(text)});
}

absl::Status QemuMigration::PrePage() {
  if (!tracked_ || (options_.prepage_time <= absl::ZeroDuration() && options_.prepage_bytes == 0)) {
    return absl::OkStatus();
  }
  const auto direct = source_->DirectDrives();
  if (!direct.ok()) return direct.status();
  if (!direct->empty()) {
    Hint(fmt::format(
        "nothing is pre-paged: {} read past the page cache (cache=none, cache.direct=on), straight into RAM and "
        "unseen by dirty tracking",
        *direct));
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
  const auto running = StopGuest();
  if (!running.ok()) return running.status();
  if (absl::Status status = SwitchOver(); !status.ok()) return status;
  if (absl::Status status = StartGuest(); !status.ok()) return status;
  report_.downtime = absl::Now() - *running;
  return absl::OkStatus();
}

// QEMU's own migration stops it: connecting and setting up, and what little RAM is not shared, come before that.
absl::StatusOr<absl::Time> QemuMigration::StopGuest() {
  const auto state = source_->RunState();
  if (!state.ok()) return state.status();
  paused_by_user_ = *state == "paused";
  stopped_ = !paused_by_user_;  // Whatever becomes of the command: QEMU may carry it out late.
  sending_ = true;
  if (absl::Status status = source_->BeginSending(options_.state_uri); !status.ok()) return status;
  return source_->WaitUntilStopped(options_.timeout);
}

// Memory first: loading the state of the devices looks at the guest's queues, and those faults must be answered.
absl::Status QemuMigration::SwitchOver() {
  if (absl::Status status = session_->SwitchOver(); !status.ok()) return status;
  if (absl::Status status = source_->FinishSending(options_.timeout); !status.ok()) return status;
  return destination_->WaitForState(options_.timeout);
}

absl::Status QemuMigration::StartGuest() {
  if (!paused_by_user_) {
    started_ = destination_->Continue(options_.timeout);
    // A refusal means that it has not run there. Anything else that is not OK means that it may.
    if (absl::IsFailedPrecondition(started_) || absl::IsUnimplemented(started_)) return started_;
  }
  handed_over_ = true;
  return absl::OkStatus();
}

// The only copy of what is missing at the destination is here.
absl::Status QemuMigration::Drain() {
  absl::Time deadline = absl::InfiniteFuture();
  for (;;) {
    const absl::Status status = session_ == nullptr ? absl::UnavailableError("no pager has come back")
                                                    : session_->WaitUntilDrained(absl::Minutes(1));
    if (status.ok()) return status;
    if (absl::IsDeadlineExceeded(status) && session_->state() != SessionState::kFailed) continue;
    if (session_ != nullptr) {
      deadline = absl::Now() + options_.reconnect_timeout;
      Hint(fmt::format(
          "{}. The guest waits at the destination for its missing pages: start the pager again with the same "
          "--state within {}",
          StatusText(status), absl::FormatDuration(options_.reconnect_timeout)));
    }
    if (absl::Status served = ServeAnotherPager(deadline); !served.ok()) return served;
  }
}

absl::Status QemuMigration::ServeAnotherPager(absl::Time deadline) {
  session_.reset();
  tracked_.reset();
  auto memory = RamFile();
  if (!memory.ok()) return memory.status();
  auto session = Open(*std::move(memory), false, std::max(deadline - absl::Now(), absl::ZeroDuration()));
  if (session.ok()) {
    session_ = *std::move(session);
    // Should this fail, WaitUntilDrained says so, and the next pager is waited for.
    static_cast<void>(session_->SwitchOver());
    return absl::OkStatus();
  }
  if (absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(200));
    return absl::OkStatus();
  }
  return absl::DataLossError(
      fmt::format("no pager came back for the guest: {}; its memory is still in {}, and nothing may "
                  "change it",
                  StatusText(session.status()), machine_.ram_path));
}

// The source's memory has not changed since it was stopped, and the destination's guest has never run. That QEMU ends
// first: it may hold the guest's disks.
absl::Status QemuMigration::GoOnAtSource(const absl::Status& why) {
  if (session_ != nullptr) session_->Cancel();
  session_.reset();
  uninterrupted_.reset();
  const std::string reason(StatusText(why));
  if (!source_) return why;
  if (sending_ && destination_) {
    if (absl::Status gone = destination_->Quit(options_.timeout); !gone.ok()) {
      Hint(fmt::format("the destination's QEMU does not end by itself, end it: {}", StatusText(gone)));
    }
    if (absl::Status ended = source_->CancelSending(options_.timeout); !ended.ok()) {
      Hint(std::string(StatusText(ended)));
    }
  }
  if (paused_by_user_) return absl::Status(why.code(), fmt::format("{}; the guest stays paused at the source", reason));
  if (!stopped_) return absl::Status(why.code(), fmt::format("{}; the guest runs on at the source", reason));
  if (absl::Status resumed = source_->ContinueSoon(options_.timeout); !resumed.ok()) {
    return absl::DataLossError(fmt::format(
        "{}; and the guest does not go on at the source, where its memory still is: {}", reason, StatusText(resumed)));
  }
  return absl::Status(why.code(), fmt::format("{}; the guest goes on at the source", reason));
}

}  // namespace farfault
