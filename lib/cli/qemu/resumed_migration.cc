#include "lib/cli/qemu/resumed_migration.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "lib/cli/qemu/qemu_monitor.h"
#include "lib/util/status_text.h"
#include "lib/util/stopwatch.h"

namespace farfault {
namespace {

constexpr absl::Duration kConnectPatience = absl::Seconds(5);
constexpr absl::Duration kMonitorPatience = absl::Seconds(30);

absl::StatusOr<QemuMonitor> Connect(const char* who, const std::string& path) {
  auto client = QmpClient::Connect(who, path, kConnectPatience);
  if (!client.ok()) return client.status();
  return QemuMonitor(*std::move(client));
}

// A QEMU that has sent its devices' state has given its guest away; before that, and when it has been told to go on
// since, the guest is its own and writes to the file. One whose migration failed while it was paused is
// 'postmigrate', too.
absl::Status CheckHasLeft(QemuMonitor& source) {
  const auto state = source.RunState();
  if (!state.ok()) return state.status();
  const auto sent = source.HasSentAll();
  if (!sent.ok()) return sent.status();
  if (*state == "postmigrate" && *sent) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "the source's guest is '{}' and {}: it has not been handed over, so there is nothing to resume. End the "
      "QEMU that waits at the destination, and let the guest go on at the source: migrate_cancel, then cont",
      *state, *sent ? "not 'postmigrate'" : "its migration has not gone to its end"));
}

absl::StatusOr<std::string> FindRam(QemuMonitor& source, const std::string& named) {
  auto machine = source.Describe();
  if (!machine.ok()) return machine.status();
  if (named.empty() || named == machine->ram_path) return machine->ram_path;
  return absl::InvalidArgumentError(
      fmt::format("the source's QEMU has its RAM in {}, not in {}: leave --ram out", machine->ram_path, named));
}

// Whether the guest was paused there still. Only now that its pages come is it sure that QEMU listens.
absl::StatusOr<bool> Start(const std::string& path, absl::Duration timeout, absl::FunctionRef<absl::Status()> served) {
  auto destination = Connect("destination", path);
  if (!destination.ok()) return destination.status();
  auto state = destination->RunState();
  if (!state.ok()) return state.status();
  if (*state == "inmigrate") {
    if (absl::Status loaded = destination->WaitForState(timeout, served); !loaded.ok()) return loaded;
  } else if (*state != "paused" && *state != "prelaunch") {
    return false;
  }
  if (absl::Status started = destination->Continue(kMonitorPatience); !started.ok()) return started;
  return true;
}

}  // namespace

absl::StatusOr<ResumeReport> ResumeMigration(const ResumeOptions& options) {
  const Stopwatch watch;
  std::optional<QemuMonitor> source;
  std::string ram = options.ram;
  if (!options.source_qmp.empty()) {
    auto monitor = Connect("source", options.source_qmp);
    if (!monitor.ok()) return monitor.status();
    source.emplace(*std::move(monitor));
    if (absl::Status left = CheckHasLeft(*source); !left.ok()) return left;
    auto found = FindRam(*source, ram);
    if (!found.ok()) return found.status();
    ram = *std::move(found);
  }
  RamServer server(options.server);
  auto memory = server.MapFile(ram);
  if (!memory.ok()) return memory.status();
  ResumeReport report;
  report.ram_bytes = memory->total_bytes();
  auto session = server.Meet(*std::move(memory), false, options.server.reconnect_timeout);
  if (!session.ok()) return session.status();
  if (absl::Status switched = (*session)->SwitchOver(); !switched.ok()) return switched;
  absl::StatusOr<bool> started = false;
  const bool starts = !options.destination_qmp.empty();
  const absl::Duration timeout = options.server.prepare_timeout;
  if (starts) started = Start(options.destination_qmp, timeout, [&] { return (*session)->status(); });
  auto stats = server.Drain(*std::move(session), ram);
  if (!stats.ok()) return stats.status();
  // It may have been deaf for as long as its pages took to come.
  if (starts && !started.ok()) started = Start(options.destination_qmp, timeout, [] { return absl::OkStatus(); });
  if (!started.ok()) {
    return absl::Status(started.status().code(),
                        fmt::format("all of the guest's memory is at the destination, but whether it runs there is not "
                                    "known (query-status there tells, and cont runs it): {}",
                                    StatusText(started.status())));
  }
  report.started = *started;
  report.stats = *std::move(stats);
  report.total = watch.Elapsed();
  if (source && options.quit_source) static_cast<void>(source->Quit(kMonitorPatience));
  return report;
}

}  // namespace farfault
