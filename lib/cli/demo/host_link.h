#ifndef FARFAULT_LIB_CLI_DEMO_HOST_LINK_H_
#define FARFAULT_LIB_CLI_DEMO_HOST_LINK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/cli/demo/role_link.h"
#include "lib/util/deadline.h"

// The line between the demo's coordinator and a source on another host: TCP, not encrypted and open to anyone, as the
// demo moves nothing that is secret.
namespace farfault {

/// Waits at `address` ("tcp://0.0.0.0:7001") for one coordinator, and tells `listening` the address with its port.
absl::StatusOr<std::unique_ptr<RoleLink>> AwaitCoordinator(std::string_view address,
                                                           const std::function<void(const std::string&)>& listening);
/// Tries until `deadline`.
absl::StatusOr<std::unique_ptr<RoleLink>> ConnectToSource(std::string_view address, Deadline deadline);

/// This host's address on that line, as in URLs: "192.0.2.7", "[2001:db8::7]".
absl::StatusOr<std::string> OwnHost(const RoleLink& link);

/// How far another host's clock is ahead of this one's, and by how much that may be wrong.
struct ClockOffset {
  std::int64_t ahead_ns = 0;
  std::int64_t error_ns = 0;
};
/// Asks the source at the other end, which obeys, a few times.
absl::StatusOr<ClockOffset> CompareClocks(RoleLink& source, Deadline deadline);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_HOST_LINK_H_
