#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "lib/cli/commands.h"
#include "lib/cli/option_types.h"
#include "lib/cli/qemu/qemu_migration.h"
#include "lib/cli/terminal/progress_bar.h"
#include "lib/cli/terminal/units.h"

namespace farfault {
namespace {

struct QemuMigrateOptions {
  QemuMigrationOptions migration;
  bool no_push = false;
  bool json = false;
};

void ShowEvent(const Event& event, ProgressBar& bar) {
  switch (event.kind) {
    case EventKind::kWaitingForPeer:
      bar.Say("waiting for the pager (Ctrl-C to stop; the guest runs on)");
      break;
    case EventKind::kPrePaging:
      bar.Update("pre-paging", event.done, event.total);
      break;
    case EventKind::kMoving:
      bar.Update("moving", event.done, event.total);
      break;
    case EventKind::kHint:
      bar.Say("hint: " + event.text);
      break;
    default:
      break;
  }
}

void PrintJson(const QemuMigrationReport& report) {
  const nlohmann::json json = {{"downtime_us", absl::ToInt64Microseconds(report.downtime)},
                               {"total_ms", absl::ToInt64Milliseconds(report.total)},
                               {"ram_bytes", report.ram_bytes},
                               {"prepage_rounds", report.prepaged.rounds},
                               {"pages_prepaged", report.prepaged.pages_sent},
                               {"pages_sent", report.stats.pages_sent},
                               {"bytes_sent", report.stats.bytes_sent},
                               {"hole_pages", report.stats.hole_pages},
                               {"switchover_us", report.stats.switchover_ns / 1000}};
  fmt::print("{}\n", json.dump());
}

void PrintText(const QemuMigrationReport& report) {
  fmt::print(
      "moved {} of RAM: downtime {}, {} in all; {} sent by the source, {} pages of it while the guest ran there\n",
      FormatBytes(report.ram_bytes), FormatNanos(absl::ToInt64Nanoseconds(report.downtime)),
      FormatNanos(absl::ToInt64Nanoseconds(report.total)), FormatBytes(report.stats.bytes_sent),
      report.prepaged.pages_sent);
}

int QemuMigrate(QemuMigrateOptions options) {
  ProgressBar bar(ProgressBar::StyleFor(stderr, false));
  options.migration.push = !options.no_push;
  options.migration.on_event = [&bar](const Event& event) { ShowEvent(event, bar); };
  QemuMigration migration(std::move(options.migration));
  const auto report = migration.Run();
  bar.Clear();
  if (!report.ok()) return Complain(report.status());
  options.json ? PrintJson(*report) : PrintText(*report);
  return kExitGood;
}

}  // namespace

void AddQemuMigrateCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "qemu-migrate", "Move the guest of one unmodified QEMU to another (see examples/qemu/README.md)");
  auto options = std::make_shared<QemuMigrateOptions>();
  QemuMigrationOptions& migration = options->migration;
  migration.state_uri = fmt::format("unix:/tmp/farfault-state-{}.sock", getpid());
  command->add_option("--source-qmp", migration.source_qmp, "The source QEMU's QMP socket")->required();
  command->add_option("--destination-qmp", migration.destination_qmp, "The destination QEMU's QMP socket")->required();
  AddAddress(*command, "--pager", migration.pager, "Where `farfault pager` listens, like tcp://192.0.2.7:7000")
      ->required();
  command->add_option(
      "--agent", migration.agent,
      "The source's FARFAULT_AGENT socket; without it nothing is pre-paged and nothing need be preloaded "
      "at the source");
  command->add_option("--state", migration.state_uri,
                      "How the state of the devices travels between the QEMUs, like tcp:192.0.2.7:7001");
  AddDuration(*command, "--prepage-time", migration.prepage_time,
              "Send pages while the guest runs, for so long; 0s: do not");
  AddBytes(*command, "--prepage-bytes", migration.prepage_bytes, "Send at most so much of it; 0: as the time allows");
  AddPredictor(*command, "--predictor", migration.predictor);
  command->add_flag("--no-push", options->no_push,
                    "Send only what the guest touches; ends when the pager has asked for the rest");
  AddKeyFile(*command, migration.key);
  AddDuration(*command, "--timeout", migration.timeout, "How long any step before the hand-over may take");
  AddDuration(*command, "--reconnect-timeout", migration.reconnect_timeout,
              "How long to wait for another pager when the one that has the guest is lost");
  command->add_flag("--quit-source", migration.quit_source, "End the source's QEMU once nothing is left there");
  command->add_flag("--json", options->json, "One JSON object instead of text");
  command->callback([&action, options] { action = [options] { return QemuMigrate(*options); }; });
}

}  // namespace farfault
