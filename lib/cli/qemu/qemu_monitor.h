#ifndef FARFAULT_LIB_CLI_QEMU_QEMU_MONITOR_H_
#define FARFAULT_LIB_CLI_QEMU_QEMU_MONITOR_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/cli/qemu/qmp_client.h"
#include "lib/util/stopwatch.h"

namespace farfault {

/// What the two ends of a migration have to agree on.
struct MachineFacts {
  std::string type;      ///< "pc-q35-7.2-machine".
  std::string backend;   ///< The only memory backend's id.
  std::string ram_path;  ///< Its mem-path.
  std::uint64_t bytes = 0;
  bool prealloc = false;
};

/// Devices that the move of their guest's memory has to do with: ids and types, separated by commas.
struct GuestDevices {
  std::string passed_through;  ///< VFIO and vDPA.
  std::string unseen_writers;  ///< Those of vhost-user.
  std::string shrinking;       ///< Balloons and virtio-mem.
};

/// A QEMU as a migration sees it, on its monitor. One thread. Errors are QmpClient's.
class QemuMonitor {
 public:
  explicit QemuMonitor(QmpClient client) : client_(std::move(client)) {}

  /// kFailedPrecondition when its RAM is not one shared file on a memory backend, with the options that make it one.
  absl::StatusOr<MachineFacts> Describe();
  bool HasGone(absl::Duration patience) const { return client_.HasGone(patience); }
  const absl::Status& late_refusal() const { return client_.late_refusal(); }
  /// "running", "paused", "inmigrate", "postmigrate", …
  absl::StatusOr<std::string> RunState(absl::Duration timeout = absl::Seconds(10));
  /// Switches on that shared RAM is left out of the migration, and at the source that the migration waits for us
  /// between stopping the guest and saving its devices. kUnimplemented: this QEMU cannot.
  absl::Status SetUp(bool source);
  /// Switches both off again: a migration that QEMU makes on its own would leave the RAM out, and wait for ever.
  absl::Status PutBack();

  /// The drives, separated by commas, whose reads reach the guest's RAM without a page-table entry to tell of it
  /// (O_DIRECT).
  absl::StatusOr<std::string> DirectDrives();

  /// Only devices know: what is behind a network device (-netdev vhost-user) nobody says.
  absl::StatusOr<GuestDevices> Devices();

  /// Of one that waits for a guest: the guest will wait for Continue, whether or not this QEMU was started with -S.
  absl::Status Stop(absl::Duration timeout);
  /// kFailedPrecondition: QEMU refuses, and the guest has not run.
  absl::Status Continue(absl::Duration timeout);
  /// The answer is given up with kDeadlineExceeded as soon as `go_on` says no.
  absl::Status ContinueWhile(absl::Duration timeout, absl::FunctionRef<bool()> go_on);
  /// Continues as soon as QEMU can: a migration that has just been cancelled is not over at once.
  absl::Status ContinueSoon(absl::Duration timeout);
  /// OK when QEMU has gone.
  absl::Status Quit(absl::Duration timeout);

  /// At a destination that waits with `-incoming defer`.
  absl::Status ListenForState(const std::string& uri);
  /// Begins to send what is not shared RAM, while the guest runs.
  absl::Status BeginSending(const std::string& uri);
  /// Waits until little is left and QEMU has stopped the guest for it; a guest that is too busy for that is stopped
  /// by us. Returns a watch that runs since it was last seen running. kAborted: QEMU's reason.
  absl::StatusOr<Stopwatch> WaitUntilStopped(absl::Duration timeout);
  /// Lets QEMU send the rest, which is the state of the devices.
  absl::Status FinishSending();
  /// Waits until that is away, or until `go_on` says why not to wait. kAborted: QEMU's reason.
  absl::Status WaitUntilSent(absl::Duration timeout, absl::FunctionRef<absl::Status()> go_on);
  /// Whether the last migration from here went to its end.
  absl::StatusOr<bool> HasSentAll();
  /// Waits until the state has been loaded and the guest is paused. QEMU hears nothing while it loads, and may wait for
  /// pages of the guest then.
  absl::Status WaitForState(absl::Duration timeout, absl::FunctionRef<absl::Status()> go_on);
  /// When the guest was stopped or resumed since the migration began here, by the clock of its host, as QEMU has it.
  absl::StatusOr<absl::Time> WhenStopped() { return client_.WaitForTime("STOP", kReporting); }
  absl::StatusOr<absl::Time> WhenResumed() { return client_.WaitForTime("RESUME", kReporting); }
  /// Cuts the connection over which the state travels, if there is one. QEMU hears this also while it waits, deaf to
  /// everything else, for a destination that does not read; then its migration has failed, and it lets the guest go on.
  absl::Status BreakOff();
  /// Gives a migration up that has not ended yet, and waits until it has.
  absl::Status CancelSending(absl::Duration timeout);

  const std::string& who() const { return client_.who(); }
  const std::string& version() const { return client_.version(); }

 private:
  /// QEMU reports at once.
  static constexpr absl::Duration kReporting = absl::Seconds(1);

  absl::StatusOr<std::string> MemoryPath(const std::string& backend);
  absl::StatusOr<std::string> SendingState();

  QmpClient client_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_QEMU_QEMU_MONITOR_H_
