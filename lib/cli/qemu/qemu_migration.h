#ifndef FARFAULT_LIB_CLI_QEMU_QEMU_MIGRATION_H_
#define FARFAULT_LIB_CLI_QEMU_QEMU_MIGRATION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/session.h"
#include "lib/cli/qemu/ignored_signals.h"
#include "lib/cli/qemu/qemu_monitor.h"
#include "lib/cli/qemu/ram_agent.h"
#include "lib/cli/qemu/ram_server.h"
#include "lib/util/stopwatch.h"

namespace farfault {

struct QemuMigrationOptions {
  std::string source_qmp;
  std::string destination_qmp;
  /// The source's agent (FARFAULT_AGENT of the interposer); empty: no pre-paging, and nothing preloaded is needed.
  std::string agent;
  /// Where `farfault pager` listens for the source of its guest.
  std::string pager;
  /// Where the state of the devices goes from QEMU to QEMU, as in QMP's `migrate`.
  std::string state_uri;
  std::string key;
  std::string predictor = "bubbling";
  /// For pre-paging; both zero: none.
  absl::Duration prepage_time = absl::Seconds(1);
  std::uint64_t prepage_bytes = 0;
  bool push = true;
  /// End the source's QEMU once it is not needed.
  bool quit_source = false;
  /// Of every step until the guest has been handed over. From then on nothing but the guest's last page ends the
  /// migration.
  absl::Duration timeout = absl::Minutes(5);
  /// How long to wait for another pager when the one that has the guest is lost.
  absl::Duration reconnect_timeout = absl::Minutes(5);
  EventListener on_event;
};

/// Of the options, what the source's memory is served with.
RamServerOptions ServerOptions(const QemuMigrationOptions& options);

struct QemuMigrationReport {
  /// From when the guest was last seen running until it was known to run at the other end.
  absl::Duration downtime;
  /// When the guest was stopped and resumed, each by the clock of its own host, as the QEMUs say.
  absl::StatusOr<absl::Time> stopped_at = absl::NotFoundError("the guest was paused already");
  absl::StatusOr<absl::Time> resumed_at = absl::NotFoundError("the guest stays paused");
  /// From the first command until the destination had everything.
  absl::Duration total;
  std::uint64_t ram_bytes = 0;
  PrePageReport prepaged;
  SessionStats stats;
};

/// Moves a running guest from one unmodified QEMU to another: farfault its memory, QEMU the state of its devices. One
/// migration per object; one thread.
///
/// Whatever fails before the guest may have been started at the destination leaves it running at the source. Afterwards
/// there is no way back: its memory is served until the destination has all of it, to another pager if the first is
/// lost, and signals that would end the process are ignored.
class QemuMigration {
 public:
  explicit QemuMigration(QemuMigrationOptions options)
      : options_(std::move(options)), server_(ServerOptions(options_)) {}

  absl::StatusOr<QemuMigrationReport> Run();

  /// Whether the guest may have been started at the destination.
  bool handed_over() const { return handed_over_; }

 private:
  absl::Status Prepare();
  absl::Status Connect();
  absl::Status CheckEnds();
  absl::Status CheckDevices();
  absl::Status OpenSession();
  absl::StatusOr<GuestMemory> SourceMemory();
  absl::Status CheckAgent() const;
  absl::Status PrePage();
  absl::Status HandOver();
  absl::StatusOr<Stopwatch> StopGuest();
  absl::Status SwitchOver();
  absl::Status FinishSending();
  absl::Status HandMemoryOver();
  absl::Status StartGuest();
  absl::Status CheckRunning();
  void NoteStart();
  absl::Status GoOnAtSource(const absl::Status& failure);
  absl::Status OfPager(const absl::Status& why) const;
  absl::Status NameWhoHasGone(const absl::Status& why);
  void BreakOff();
  absl::Status GiveGuestBack(const absl::Status& why);
  absl::Status NothingStopped(const absl::Status& why);

  QemuMigrationOptions options_;
  std::optional<QemuMonitor> source_;
  std::optional<QemuMonitor> destination_;
  MachineFacts machine_;
  std::string unseen_writers_;  // Devices whose writes to RAM no dirty tracking sees.
  RamServer server_;
  std::optional<TrackedRam> tracked_;
  std::unique_ptr<SourceSession> session_;
  QemuMigrationReport report_;
  std::optional<IgnoredSignals> uninterrupted_;
  std::optional<Stopwatch> last_running_;  // Since the guest was last seen running at the source.
  absl::Status started_;                   // What the destination said to the command that starts the guest.
  bool paused_by_user_ = false;            // Then it stays paused, wherever it ends up.
  bool stopped_ = false;                   // By us.
  bool sending_ = false;
  bool state_travels_ = false;
  bool memory_handed_over_ = false;
  bool handed_over_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_QEMU_QEMU_MIGRATION_H_
