#ifndef FARFAULT_LIB_CLI_QEMU_RAM_AGENT_H_
#define FARFAULT_LIB_CLI_QEMU_RAM_AGENT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/external_guest.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// The RAM of a guest that runs in a QEMU with the interposer of examples/qemu, and what it takes to follow its writes.
struct TrackedRam {
  ExternalRegion region;
  ExternalGuest guest;
  UniqueFd userfaultfd;
  UniqueFd file;

  std::uint64_t bytes() const { return region.mappings.empty() ? 0 : region.mappings.front().length; }
};

/// Asks the agent that listens at `path`. kUnavailable: nobody listens; kPermissionDenied: the agent refuses, with its
/// reason; kInvalidArgument: its answer makes no sense.
absl::StatusOr<TrackedRam> AskForRam(const std::string& path, absl::Duration timeout);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_QEMU_RAM_AGENT_H_
