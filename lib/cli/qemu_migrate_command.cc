#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/cli/commands.h"
#include "lib/cli/give_way.h"
#include "lib/cli/option_types.h"
#include "lib/cli/qemu/qemu_migration.h"
#include "lib/cli/qemu/resumed_migration.h"
#include "lib/cli/terminal/progress_bar.h"
#include "lib/cli/terminal/units.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

struct QemuMigrateOptions {
  QemuMigrationOptions migration;
  std::string ram;
  int nice = kGivesWay;
  bool resume = false;
  bool no_push = false;
  bool json = false;
};

void ShowEvent(const Event& event, bool resume, ProgressBar& bar) {
  switch (event.kind) {
    case EventKind::kWaitingForPeer:
      bar.Say(resume ? "waiting for the pager that takes the guest over (Ctrl-C to stop; it can be resumed again)"
                     : "waiting for the pager (Ctrl-C to stop; the guest runs on)");
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

nlohmann::json UnixMicros(const absl::StatusOr<absl::Time>& time) {
  return time.ok() ? nlohmann::json(absl::ToUnixMicros(*time)) : nlohmann::json();
}

void PrintJson(const QemuMigrationReport& report) {
  const nlohmann::json json = {{"downtime_us", absl::ToInt64Microseconds(report.downtime)},
                               {"stopped_at_us", UnixMicros(report.stopped_at)},
                               {"resumed_at_us", UnixMicros(report.resumed_at)},
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

absl::Status Check(const QemuMigrateOptions& options) {
  const QemuMigrationOptions& migration = options.migration;
  if (options.resume) {
    if (!migration.source_qmp.empty() || !options.ram.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "--resume: say where the guest's memory is: --source-qmp PATH where the source's QEMU still is, --ram FILE "
        "where it is not");
  }
  if (!options.ram.empty()) return absl::InvalidArgumentError("--ram belongs to --resume");
  if (!migration.source_qmp.empty() && !migration.destination_qmp.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError("--source-qmp and --destination-qmp are required");
}

int Migrate(QemuMigrateOptions& options, ProgressBar& bar) {
  QemuMigration migration(std::move(options.migration));
  const auto report = migration.Run();
  bar.Clear();
  if (!report.ok()) return Complain(report.status());
  options.json ? PrintJson(*report) : PrintText(*report);
  return kExitGood;
}

int Resume(const QemuMigrateOptions& options, ProgressBar& bar) {
  const QemuMigrationOptions& migration = options.migration;
  const auto report = ResumeMigration({.source_qmp = migration.source_qmp,
                                       .ram = options.ram,
                                       .destination_qmp = migration.destination_qmp,
                                       .quit_source = migration.quit_source,
                                       .server = ServerOptions(migration)});
  bar.Clear();
  if (!report.ok()) return Complain(report.status());
  if (options.json) {
    const nlohmann::json json = {{"ram_bytes", report->ram_bytes},
                                 {"started", report->started},
                                 {"total_ms", absl::ToInt64Milliseconds(report->total)},
                                 {"pages_sent", report->stats.pages_sent},
                                 {"bytes_sent", report->stats.bytes_sent}};
    fmt::print("{}\n", json.dump());
  } else {
    fmt::print("the destination has all {} of RAM{}; {} sent by the source in {}\n", FormatBytes(report->ram_bytes),
               report->started ? ", and the guest, which was paused, runs there" : "",
               FormatBytes(report->stats.bytes_sent), FormatNanos(absl::ToInt64Nanoseconds(report->total)));
  }
  return kExitGood;
}

int QemuMigrate(QemuMigrateOptions options) {
  if (absl::Status checked = Check(options); !checked.ok()) return Complain(checked, kExitUsage);
  ProgressBar bar(ProgressBar::StyleFor(stderr, false));
  // Before there are threads, which inherit it.
  if (absl::Status gives_way = GiveWay(options.nice); !gives_way.ok()) bar.Say(std::string(StatusText(gives_way)));
  options.migration.push = !options.no_push;
  options.migration.on_event = [&options, &bar](const Event& event) { ShowEvent(event, options.resume, bar); };
  return options.resume ? Resume(options, bar) : Migrate(options, bar);
}

}  // namespace

void AddQemuMigrateCommand(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "qemu-migrate", "Move the guest of one unmodified QEMU to another (see examples/qemu/README.md)");
  auto options = std::make_shared<QemuMigrateOptions>();
  QemuMigrationOptions& migration = options->migration;
  migration.state_uri = fmt::format("unix:/tmp/farfault-state-{}.sock", getpid());
  command->add_option("--source-qmp", migration.source_qmp, "The source QEMU's QMP socket");
  command->add_option("--destination-qmp", migration.destination_qmp, "The destination QEMU's QMP socket");
  AddAddress(*command, "--pager", migration.pager, "Where `farfault pager` listens, like tcp://192.0.2.7:7000")
      ->required();
  command->add_option(
      "--agent", migration.agent,
      "The source's FARFAULT_AGENT socket; without it nothing is pre-paged and nothing need be preloaded "
      "at the source");
  command->add_option("--state", migration.state_uri,
                      "How the state of the devices travels between the QEMUs, like tcp:192.0.2.7:7001");
  AddDuration(*command, "--prepage-time", migration.prepage_time,
              "Send pages while the guest runs, for so long; 0s: do not (default 1s)");
  AddBytes(*command, "--prepage-bytes", migration.prepage_bytes,
           "Send at most so much of it; 0, the default: as the time allows");
  CLI::Option* const predictor = AddPredictor(*command, "--predictor", migration.predictor);
  command
      ->add_flag("--no-push", options->no_push,
                 "Send only what the guest touches; ends when the pager has asked for the rest")
      ->excludes(predictor);
  AddKeyFile(*command, migration.key);
  AddDuration(*command, "--timeout", migration.timeout, "How long any step before the hand-over may take (default 5m)")
      ->check(MoreThanZero("every step takes some time"));
  AddDuration(*command, "--reconnect-timeout", migration.reconnect_timeout,
              "How long to wait for another pager when the one that has the guest is lost (default 5m)");
  command->add_flag("--quit-source", migration.quit_source, "End the source's QEMU once nothing is left there");
  command->add_flag("--resume", options->resume,
                    "Finish a migration that was killed after the guest had been handed over: serve the source's RAM "
                    "to the pager that takes the guest over");
  command->add_option("--ram", options->ram, "For --resume: the source's RAM file, where its QEMU has ended")
      ->type_name("FILE");
  AddNice(*command, options->nice);
  command->add_flag("--json", options->json, "One JSON object instead of text");
  command->callback([&action, options] { action = [options] { return QemuMigrate(*options); }; });
}

}  // namespace farfault
