#include "lib/cli/qemu/qemu_monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/time/clock.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"
#include "lib/util/stopwatch.h"

namespace farfault {
namespace {

using nlohmann::json;

constexpr absl::Duration kPoll = absl::Microseconds(200);
constexpr absl::Duration kHearing = absl::Seconds(1);
constexpr absl::Duration kSlowPoll = absl::Milliseconds(20);
// Without its RAM a guest that is not busy drawing has little that changes: QEMU stops it within some ten milliseconds.
constexpr absl::Duration kSettling = absl::Seconds(1);
constexpr std::string_view kBackendOptions =
    "-object memory-backend-file,id=ram,size=SIZE,mem-path=/dev/shm/NAME,share=on,align=2M -machine "
    "…,memory-backend=ram";

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool Flag(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::string* KindOf(std::string_view type, GuestDevices& devices) {
  if (type.starts_with("vfio-") || type.starts_with("vhost-vdpa-")) return &devices.passed_through;
  if (type.starts_with("vhost-user-")) return &devices.unseen_writers;
  if (type.starts_with("virtio-balloon") || type.starts_with("virtio-mem-")) return &devices.shrinking;
  return nullptr;
}

}  // namespace

absl::StatusOr<std::string> QemuMonitor::MemoryPath(const std::string& backend) {
  auto path = client_.Execute("qom-get", {{"path", "/objects/" + backend}, {"property", "mem-path"}});
  if (!path.ok() || !path->is_string()) {
    return absl::FailedPreconditionError(
        fmt::format("the {}'s memory backend '{}' has no mem-path: it is not a memory-backend-file, and a memfd "
                    "without a name would be "
                    "sent by QEMU itself. Start QEMU with {}",
                    who(), backend, kBackendOptions));
  }
  return path->get<std::string>();
}

absl::StatusOr<MachineFacts> QemuMonitor::Describe() {
  MachineFacts machine;
  auto type = client_.Execute("qom-get", {{"path", "/machine"}, {"property", "type"}});
  if (!type.ok()) return type.status();
  machine.type = type->is_string() ? type->get<std::string>() : type->dump();
  auto backends = client_.Execute("query-memdev");
  if (!backends.ok()) return backends.status();
  if (!backends->is_array() || backends->size() != 1 || !backends->front().is_object()) {
    return absl::FailedPreconditionError(
        fmt::format("the {}'s QEMU has {} memory backends, and farfault moves guests with one. Start QEMU with {}",
                    who(), backends->size(), kBackendOptions));
  }
  const json& backend = backends->front();
  machine.backend = Text(backend, "id");
  machine.prealloc = Flag(backend, "prealloc");
  const auto size = backend.find("size");
  if (size != backend.end() && size->is_number_unsigned()) machine.bytes = size->get<std::uint64_t>();
  auto path = MemoryPath(machine.backend);
  if (!path.ok()) return path.status();
  machine.ram_path = *std::move(path);
  if (!Flag(backend, "share")) {
    return absl::FailedPreconditionError(
        fmt::format("the {}'s memory backend '{}' is private, so nobody else sees what the guest writes: say share=on. "
                    "Start QEMU with {}",
                    who(), machine.backend, kBackendOptions));
  }
  return machine;
}

absl::StatusOr<std::string> QemuMonitor::RunState(absl::Duration timeout) {
  auto status = client_.Execute("query-status", json::object(), timeout);
  if (!status.ok()) return status.status();
  return Text(*status, "status");
}

absl::Status QemuMonitor::SetUp(bool source) {
  const json on = {{"capabilities",
                    {{{"capability", "x-ignore-shared"}, {"state", true}},
                     {{"capability", "pause-before-switchover"}, {"state", source}}}}};
  absl::Status status = client_.Execute("migrate-set-capabilities", on).status();
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::UnimplementedError(
      fmt::format("{}. farfault needs QEMU's migration capability x-ignore-shared (QEMU 4.0 and later), which leaves "
                  "shared memory out; it does not go together with postcopy-ram",
                  std::string(StatusText(status))));
}

absl::StatusOr<std::string> QemuMonitor::DirectDrives() {
  auto drives = client_.Execute("query-block");
  if (!drives.ok()) return drives.status();
  std::string names;
  for (const json& drive : *drives) {
    const json inserted = drive.is_object() ? drive.value("inserted", json::object()) : json::object();
    const json cache = inserted.is_object() ? inserted.value("cache", json::object()) : json::object();
    if (!cache.is_object() || !Flag(cache, "direct")) continue;
    if (!names.empty()) names += ", ";
    names += Text(inserted, "node-name");
  }
  return names;
}

absl::StatusOr<GuestDevices> QemuMonitor::Devices() {
  GuestDevices devices;
  for (const char* const parent : {"/machine/peripheral", "/machine/peripheral-anon"}) {
    auto children = client_.Execute("qom-list", {{"path", parent}});
    if (!children.ok()) return children.status();
    for (const json& child : *children) {
      const std::string type = child.is_object() ? Text(child, "type") : "";  // "child<virtio-balloon-pci>".
      if (!type.starts_with("child<")) continue;
      std::string* const kind = KindOf(std::string_view(type).substr(6), devices);
      if (kind == nullptr) continue;
      *kind +=
          fmt::format("{}{} ({})", kind->empty() ? "" : ", ", Text(child, "name"), type.substr(6, type.size() - 7));
    }
  }
  return devices;
}

absl::Status QemuMonitor::Stop(absl::Duration timeout) {
  return client_.Execute("stop", json::object(), timeout).status();
}
absl::Status QemuMonitor::Continue(absl::Duration timeout) {
  return client_.Execute("cont", json::object(), timeout).status();
}

absl::Status QemuMonitor::ContinueWhile(absl::Duration timeout, absl::FunctionRef<bool()> go_on) {
  return client_.ExecuteWhile("cont", timeout, go_on).status();
}

absl::Status QemuMonitor::ContinueSoon(absl::Duration timeout) {
  const Deadline deadline = Deadline::After(timeout);
  for (;;) {
    absl::Status status = Continue(timeout);
    if (!absl::IsFailedPrecondition(status) || deadline.Passed()) return status;
    absl::SleepFor(kSlowPoll);
  }
}

absl::Status QemuMonitor::Quit(absl::Duration timeout) {
  const absl::Status status = client_.Execute("quit", json::object(), timeout).status();
  if (absl::IsUnavailable(status)) return absl::OkStatus();
  return status.ok() ? client_.WaitUntilGone(timeout) : status;
}

absl::Status QemuMonitor::ListenForState(const std::string& uri) {
  client_.ForgetEvents();
  absl::Status status = client_.Execute("migrate-incoming", {{"uri", uri}}).status();
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::FailedPreconditionError(
      fmt::format("{}. A QEMU that has waited for a guest once, and did not get it, is started again, with its pager",
                  StatusText(status)));
}

absl::Status QemuMonitor::PutBack() {
  const json off = {{"capabilities",
                     {{{"capability", "x-ignore-shared"}, {"state", false}},
                      {{"capability", "pause-before-switchover"}, {"state", false}}}}};
  return client_.Execute("migrate-set-capabilities", off).status();
}

absl::StatusOr<bool> QemuMonitor::HasSentAll() {
  const auto state = SendingState();
  if (absl::IsAborted(state.status())) return false;
  if (!state.ok()) return state.status();
  return *state == "completed";
}

absl::Status QemuMonitor::BeginSending(const std::string& uri) {
  client_.ForgetEvents();
  return client_.Execute("migrate", {{"uri", uri}}).status();
}

// QEMU hears nothing while it drains the guest's disks, which may take long.
absl::StatusOr<std::string> QemuMonitor::SendingState() {
  auto progress = client_.Execute("query-migrate", json::object(), kHearing);
  if (absl::IsDeadlineExceeded(progress.status())) return "busy";
  if (!progress.ok()) return progress.status();
  std::string state = Text(*progress, "status");
  if (state != "failed" && state != "cancelled") return state;
  const std::string reason = Text(*progress, "error-desc");
  return absl::AbortedError(
      fmt::format("the {}'s QEMU could not send the state of its devices: {}", who(), reason.empty() ? state : reason));
}

absl::StatusOr<Stopwatch> QemuMonitor::WaitUntilStopped(absl::Duration timeout) {
  const Deadline deadline = Deadline::After(timeout);
  // Not while it still connects: the guest would stand still for that.
  Deadline settled = Deadline::Never();
  bool stopped = false;
  for (Stopwatch running;;) {
    const Stopwatch now;
    const auto state = SendingState();
    if (!state.ok()) return state.status();
    if (*state == "pre-switchover") return running;
    if (*state == "active") settled = std::min(settled, Deadline::After(kSettling));
    if (deadline.Passed()) {
      return absl::DeadlineExceededError(
          fmt::format("the {}'s QEMU has been sending what is not RAM for {}, and is still '{}'", who(),
                      absl::FormatDuration(timeout), *state));
    }
    if (!stopped) running = now;
    if (!stopped && settled.Passed()) {
      if (absl::Status status = Stop(timeout); !status.ok()) return status;
      stopped = true;
    }
    absl::SleepFor(kPoll);
  }
}

absl::Status QemuMonitor::FinishSending() {
  return client_.Execute("migrate-continue", {{"state", "pre-switchover"}}).status();
}

absl::Status QemuMonitor::WaitUntilSent(absl::Duration timeout, absl::FunctionRef<absl::Status()> go_on) {
  const Deadline deadline = Deadline::After(timeout);
  for (;;) {
    const auto state = SendingState();
    if (!state.ok()) return state.status();
    if (*state == "completed") return absl::OkStatus();
    if (deadline.Passed()) {
      return absl::DeadlineExceededError(
          fmt::format("the {}'s QEMU has been sending the state of its devices for {}, and is still '{}'", who(),
                      absl::FormatDuration(timeout), *state));
    }
    if (absl::Status useless = go_on(); !useless.ok()) return useless;
    absl::SleepFor(kPoll);
  }
}

absl::Status QemuMonitor::WaitForState(absl::Duration timeout, absl::FunctionRef<absl::Status()> go_on) {
  const Deadline deadline = Deadline::After(timeout);
  for (;;) {
    const auto state = RunState(kHearing);
    const bool deaf = absl::IsDeadlineExceeded(state.status());
    if (!state.ok() && !deaf) return state.status();
    if (state.ok() && (*state == "paused" || *state == "prelaunch")) return absl::OkStatus();
    if (state.ok() && *state != "inmigrate") {
      return absl::FailedPreconditionError(
          fmt::format("the {}'s QEMU is '{}' after its devices were loaded, and should be 'paused'", who(), *state));
    }
    if (deadline.Passed()) {
      return absl::DeadlineExceededError(fmt::format("the {}'s QEMU has been loading the state of its devices for {}",
                                                     who(), absl::FormatDuration(timeout)));
    }
    if (absl::Status useless = go_on(); !useless.ok()) return useless;
    if (!deaf) absl::SleepFor(kPoll);
  }
}

absl::Status QemuMonitor::BreakOff() {
  const json connection = {{"instances", {{{"type", "migration"}}}}};
  const absl::Status status = client_.ExecuteOutOfBand("yank", connection, kHearing).status();
  // There is no such connection any more, or there was none.
  return absl::IsFailedPrecondition(status) ? absl::OkStatus() : status;
}

absl::Status QemuMonitor::CancelSending(absl::Duration timeout) {
  const Deadline deadline = Deadline::After(timeout);
  static_cast<void>(client_.Execute("migrate_cancel"));  // Refused where there is nothing to cancel.
  for (;;) {
    const auto state = SendingState();
    if (absl::IsAborted(state.status())) return absl::OkStatus();
    if (!state.ok()) return state.status();
    if (state->empty() || *state == "none" || *state == "completed") return absl::OkStatus();
    if (deadline.Passed()) {
      return absl::DeadlineExceededError(
          fmt::format("the {}'s QEMU does not end its migration: it is '{}'", who(), *state));
    }
    absl::SleepFor(kSlowPoll);
  }
}

}  // namespace farfault
