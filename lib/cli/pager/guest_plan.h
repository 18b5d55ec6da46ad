#ifndef FARFAULT_LIB_CLI_PAGER_GUEST_PLAN_H_
#define FARFAULT_LIB_CLI_PAGER_GUEST_PLAN_H_

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "farfault/external_guest.h"
#include "farfault/session.h"
#include "lib/cli/pager/handshake.h"

namespace farfault {

/// Where the source's regions, one behind the other, lie in the hypervisor: the session's memory.
/// kFailedPrecondition: the hypervisor's memory and the source's image differ in length or page size.
absl::StatusOr<std::vector<ExternalRegion>> PlanGuest(const Handshake& handshake, std::span<const RemoteRegion> source);

/// The session's view of the hypervisor's process. The descriptor stays the handshake's.
ExternalGuest ProcessOf(const Handshake& handshake);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_GUEST_PLAN_H_
