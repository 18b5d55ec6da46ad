#ifndef FARFAULT_LIB_CLI_QEMU_RESUMED_MIGRATION_H_
#define FARFAULT_LIB_CLI_QEMU_RESUMED_MIGRATION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/cli/qemu/ram_server.h"

namespace farfault {

struct ResumeOptions {
  /// The source QEMU's monitor, which knows the RAM file and whether the guest has left; empty where it has ended.
  std::string source_qmp;
  /// The RAM file; empty: the source's QEMU says it.
  std::string ram;
  /// The destination's monitor: a guest that is still paused there is started. Empty: it is left as it is.
  std::string destination_qmp;
  bool quit_source = false;
  RamServerOptions server;
};

struct ResumeReport {
  std::uint64_t ram_bytes = 0;
  /// The guest was still paused at the destination, and has been started.
  bool started = false;
  /// Until the destination had everything.
  absl::Duration total;
  SessionStats stats;
};

/// Finishes a migration whose QemuMigration ended after it had handed the guest over: serves the source's RAM file to
/// the pager that has the guest now. May be interrupted and called again, for as long as nobody changes the file.
///
/// kFailedPrecondition, and nothing has happened: the guest has not left the source.
absl::StatusOr<ResumeReport> ResumeMigration(const ResumeOptions& options);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_QEMU_RESUMED_MIGRATION_H_
