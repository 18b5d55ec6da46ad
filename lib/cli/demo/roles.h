#ifndef FARFAULT_LIB_CLI_DEMO_ROLES_H_
#define FARFAULT_LIB_CLI_DEMO_ROLES_H_

#include "lib/cli/demo/role_link.h"

// The demo's two roles, each on its own thread or in its own process, both obeying the coordinator at the other end of
// their link. A role that fails says "error" and ends its process at once: threads of its program may be parked on
// pages that will never come.
//
// The source, once:         plan → ready; then for each method: move → … moved; digest → digested
// A destination per method: plan → listening → … resumed, moved; verify → verified
//
// Both send "progress" {step, done, total} and "hint" {text} in between.
namespace farfault {

/// Obeys until the link is closed.
void PlaySource(RoleLink& link, int judge_fd);
void PlayDestination(RoleLink& link, int judge_fd);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_ROLES_H_
