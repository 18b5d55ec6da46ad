#ifndef FARFAULT_BENCH_QEMU_GUEST_MOVE_H_
#define FARFAULT_BENCH_QEMU_GUEST_MOVE_H_

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "test/support/qemu/qemu_machine.h"

namespace farfault::bench {

/// What the guest does with its memory.
struct GuestWorkload {
  std::string pattern;
  std::string role;

  std::string name() const { return pattern + " " + role; }
};

enum class Mover { kFarfault, kPostcopy, kPostcopyPreempt };

/// What one migration cost.
struct MoveCost {
  /// From QEMU's event STOP at the source to its event RESUME at the destination.
  double downtime_us = 0;
  /// farfault: as its command says, from when the guest was last seen running until its start was confirmed.
  double command_downtime_us = 0;
  /// farfault: how much of it SwitchOver took.
  double switchover_us = 0;
  double total_ms = 0;
  /// How long the destination took to be ready for it, before.
  double ready_ms = 0;
  /// Both together.
  double whole_ms = 0;
  /// As `blocked_ms`, while the destination got ready.
  double ready_blocked_ms = 0;
  /// Sum of the guest's touches that took 20 us and more while it moved, as it saw them itself, less what the same
  /// guest lost to its emulator in as long a time before.
  double blocked_ms = 0;
  /// The same as the migration reports it: farfault's stalls, QEMU's postcopy-blocktime.
  double reported_blocked_ms = 0;
  double network_faults = 0;
  double stall_p50_us = 0;
  double stall_p99_us = 0;
  double stall_max_us = 0;
};

/// Boots a guest, lets it work, moves it while it does, and lets it work on at the destination. kDataLoss when the
/// guest found a wrong word.
class GuestMove {
 public:
  /// Pre-paging and QEMU's pre-copy have so long before the guest is switched over.
  static constexpr absl::Duration kHeadStart = absl::Seconds(1);

  GuestMove(GuestWorkload workload, std::filesystem::path folder)
      : workload_(std::move(workload)), folder_(std::move(folder)) {}

  absl::StatusOr<MoveCost> Run(Mover mover);

 private:
  QemuMachine::Spec Spec(const char* name, Mover mover) const;
  absl::Status StartSource(Mover mover);
  /// The destination is ready: what the guest loses from here on is the move's.
  absl::Status BeginMove();
  absl::Status ByFarfault(MoveCost& cost);
  absl::Status ByPostcopy(bool preempt, MoveCost& cost);
  absl::Status ReadGuest(MoveCost& cost) const;
  /// Beyond what the guest loses anyway.
  double BlockedMs(const GuestReport& from, const GuestReport& to) const;

  const GuestWorkload workload_;
  const std::filesystem::path folder_;
  std::unique_ptr<QemuMachine> source_;
  std::unique_ptr<QemuMachine> destination_;
  GuestReport idle_begin_;  ///< Between these two the guest worked undisturbed.
  GuestReport idle_end_;
  GuestReport before_;  ///< When the move began.
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_QEMU_GUEST_MOVE_H_
