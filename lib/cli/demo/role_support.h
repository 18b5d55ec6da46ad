#ifndef FARFAULT_LIB_CLI_DEMO_ROLE_SUPPORT_H_
#define FARFAULT_LIB_CLI_DEMO_ROLE_SUPPORT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/events.h"
#include "farfault/guest_memory.h"
#include "lib/cli/demo/judge.h"
#include "lib/cli/demo/plan.h"
#include "lib/cli/demo/role_link.h"
#include "lib/cli/workload/program.h"

namespace farfault {

/// The guest memory of one role.
absl::StatusOr<OwnedRegion> AllocateGuest(const GuestPlan& plan);

/// The program over it.
std::vector<Program::Shard> ShardsOf(const GuestPlan& plan, const OwnedRegion& memory, const Judge& judge,
                                     Judge::Side side);

/// Passes a session's progress and hints on to the coordinator.
EventListener ForwardEvents(RoleLink& link);
/// A report of progress to the coordinator, at most ten a second.
std::function<void(std::uint64_t)> ForwardProgress(RoleLink& link, std::string step, std::uint64_t total);

/// Says "error", if the coordinator is still there to hear it, and ends the process.
[[noreturn]] void FailRole(RoleLink& link, const absl::Status& status);

/// Status of a wait, with what was waited for in front.
absl::Status While(std::string_view doing, const absl::Status& status);

/// What two roles say of one failure, in one line. A role that only repeats what the other has told it over the session
/// ("the peer says: …") is left out.
std::string BothComplaints(std::string_view first, std::string_view second);

/// Of a session that was to be made: "connecting", and what to look at when the other role has not come.
absl::Status WhileConnecting(const absl::Status& status);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_ROLE_SUPPORT_H_
