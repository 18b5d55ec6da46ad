#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_ERROR_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_ERROR_H_

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "lib/transport/transport.h"

// What went wrong, in words that say what to do about it.
namespace farfault {

/// "what: reason", for calls that only a lack of something makes fail.
absl::Status RdmaError(std::string_view what, int error);

/// What to know of an `error` of the device or of the connection manager, to be appended: "; …", or nothing.
std::string_view HintOf(int error);

/// rdma_create_event_channel failed.
absl::Status NoConnectionManager(int error);
/// This host has no RDMA device.
absl::Status NoRdmaDevice();
/// `choice` is what was asked for, `names` what there is.
absl::Status NoSuchDevice(std::string_view choice, const std::vector<std::string>& names);

/// rdma_bind_addr or rdma_listen failed for `where`.
absl::Status ListenError(std::string_view where, int error);
/// The address `where` cannot be resolved, or there is no route.
absl::Status ResolveError(std::string_view where, int error);

/// What comes with a rejection by farfault, to tell it from one by the connection manager.
inline constexpr std::string_view kRejection = "farfault: rejected\n";
/// The attempt to connect to `where` ended with this event. kPermissionDenied, kUnavailable; kFailedPrecondition when
/// `device`, this host's, was removed.
absl::Status ConnectError(std::string_view where, rdma_cm_event_type event, int status,
                          std::span<const std::byte> private_data, std::string_view device);
/// The connection manager rejected the request because it believes that this queue pair is connected already: an
/// earlier process had one of the same number. Another attempt has another queue pair.
bool IsStale(rdma_cm_event_type event, int status);

/// ibv_reg_mr failed.
absl::Status RegistrationError(std::uint64_t bytes, RemoteAccess access, std::string_view device, int error);

/// Why a channel broke when a request or receive ended with `status`. `generic`: this only follows from another reason.
struct Failure {
  absl::StatusCode code{};
  std::string text;
  bool generic = false;
};
Failure CompletionFailure(Opcode opcode, ibv_wc_status status);
/// `device` is the name of this host's.
Failure EventFailure(rdma_cm_event_type event, int status, std::string_view device);
Failure EventFailure(ibv_event_type event);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_ERROR_H_
