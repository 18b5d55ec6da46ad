#include "lib/cli/qemu/qemu_migration.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr absl::Duration kConnectPatience = absl::Seconds(5);
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
  if (!status.ok()) return handed_over_ ? status : GoOnAtSource(status);
  if (absl::Status drained = session_->WaitUntilDrained(options_.timeout); !drained.ok()) return drained;
  report_.total = absl::Now() - start;
  report_.stats = session_->Stats();
  session_.reset();
  if (options_.quit_source) static_cast<void>(source_->Quit());
  return report_;
}

absl::Status QemuMigration::Prepare() {
  if (absl::Status status = Connect(); !status.ok()) return status;
  if (absl::Status status = CheckEnds(); !status.ok()) return status;
  for (QemuMonitor* end : {&*source_, &*destination_}) {
    if (absl::Status status = end->LeaveRamOut(); !status.ok()) return status;
  }
  if (absl::Status status = destination_->ListenForState(options_.state_uri); !status.ok()) return status;
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
  paused_by_user_ = *running == "paused";
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
  if (!options_.agent.empty()) {
    auto tracked = AskForRam(options_.agent, kConnectPatience);
    if (!tracked.ok()) return tracked.status();
    tracked_ = *std::move(tracked);
    tracked_->region.name = kRegionName;
    if (tracked_->bytes() != machine_.bytes) {
      return absl::FailedPreconditionError(
          fmt::format("the agent at {} has {} bytes of RAM, the source's QEMU {}: it is another guest's",
                      options_.agent, tracked_->bytes(), machine_.bytes));
    }
    return GuestMemory::CreateExternal({tracked_->region}, tracked_->guest);
  }
  auto ram = OwnedRegion::OpenFile(machine_.ram_path);
  if (!ram.ok()) {
    return absl::Status(
        ram.status().code(),
        fmt::format("the source's RAM file: {}. Run this on the source's host, as a user who may read it",
                    std::string(StatusText(ram.status()))));
  }
  ram_ = *std::move(ram);
  Region region = ram_.region();
  region.name = kRegionName;
  return GuestMemory::Create({region});
}

absl::Status QemuMigration::OpenSession() {
  auto memory = SourceMemory();
  if (!memory.ok()) return memory.status();
  auto predictor = MakePredictor(options_.predictor);
  if (!predictor.ok()) return predictor.status();
  SourceOptions session;
  session.connect = options_.pager;
  session.pre_shared_key = options_.key;
  session.peer_timeout = std::min(options_.timeout, absl::Seconds(30));
  session.prepare_timeout = options_.timeout;
  session.predictor = *std::move(predictor);
  session.push.enabled = options_.push;
  session.track_dirty = tracked_.has_value();
  session.track_history = false;
  session.on_event = options_.on_event;
  auto made = SourceSession::Create(*std::move(memory), std::move(session));
  if (!made.ok()) return made.status();
  session_ = *std::move(made);
  return absl::OkStatus();
}

absl::Status QemuMigration::PrePage() {
  if (!tracked_ || (options_.prepage_time <= absl::ZeroDuration() && options_.prepage_bytes == 0)) {
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
  const absl::Time start = absl::Now();
  if (!paused_by_user_) {
    if (absl::Status status = source_->Stop(); !status.ok()) return status;
    stopped_ = true;
  }
  if (absl::Status status = SwitchOver(); !status.ok()) return status;
  handed_over_ = true;  // From here on nobody knows whether it runs over there.
  if (!paused_by_user_) {
    if (absl::Status status = destination_->Continue(); !status.ok()) return status;
  }
  report_.downtime = absl::Now() - start;
  return absl::OkStatus();
}

// Memory first: loading the state of the devices looks at the guest's queues, and those faults must be answered.
absl::Status QemuMigration::SwitchOver() {
  if (absl::Status status = session_->SwitchOver(); !status.ok()) return status;
  sending_ = true;
  if (absl::Status status = source_->SendState(options_.state_uri, options_.timeout); !status.ok()) return status;
  return destination_->WaitForState(options_.timeout);
}

// The source's memory has not changed since it was stopped, and the destination's guest has never run.
absl::Status QemuMigration::GoOnAtSource(const absl::Status& why) {
  if (session_ != nullptr) session_->Cancel();
  session_.reset();
  const std::string reason(StatusText(why));
  if (!source_) return why;
  if (sending_) source_->CancelSending();
  if (paused_by_user_) return absl::Status(why.code(), fmt::format("{}; the guest stays paused at the source", reason));
  if (!stopped_) return absl::Status(why.code(), fmt::format("{}; the guest runs on at the source", reason));
  if (absl::Status resumed = source_->Continue(); !resumed.ok()) {
    return absl::DataLossError(
        fmt::format("{}; and the guest does not go on at the source: {}", reason, std::string(StatusText(resumed))));
  }
  if (destination_) static_cast<void>(destination_->Quit());
  return absl::Status(why.code(), fmt::format("{}; the guest goes on at the source", reason));
}

}  // namespace farfault
