#ifndef FARFAULT_LIB_CLI_DEMO_ROLES_H_
#define FARFAULT_LIB_CLI_DEMO_ROLES_H_

#include "absl/status/status.h"
#include "lib/cli/demo/role_link.h"

// The demo's two roles, each on its own thread or in its own process, both obeying the coordinator at the other end of
// their link. A role that fails says "error" and ends its process at once: threads of its program may be parked on
// pages that will never come.
//
// The source, once:         plan → ready; then for each method: move → … moved; digest → digested
// A destination per method: plan → listening → … resumed, moved; verify → verified
//
// Both send "progress" {step, done, total}, "hint" {text} and "connected" {path} in between.
//
// On two hosts the source also tells what a Judge would have shown: "ledger" {at, bytes} as the program goes on,
// "ledger_complete" when it has stopped, which the coordinator passes on to the destination, and "digests" {at, bytes}
// before digested. It answers clock → clock {now}.
namespace farfault {

/// Obeys until the link is closed. `judge_fd` -1: the coordinator is on another host.
void PlaySource(RoleLink& link, int judge_fd);
/// The same, but comes back with what went wrong.
absl::Status ObeyAsSource(RoleLink& link, int judge_fd);
void PlayDestination(RoleLink& link, int judge_fd);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_ROLES_H_
