#ifndef FARFAULT_LIB_TRANSPORT_VERBS_DEVICE_ADDRESS_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_DEVICE_ADDRESS_H_

#include <infiniband/verbs.h>

#include "absl/status/statusor.h"
#include "lib/transport/socket_address.h"
#include "lib/transport/verbs/verbs_address.h"

namespace farfault {

/// The IP address that a GID of RoCE stands for: IPv4 when it is an IPv4-mapped one. `interface` is the index of the
/// network interface, which link-local addresses need.
SocketAddress AddressOfGid(const ibv_gid& gid, std::uint32_t interface);

/// An address of the device, by which the connection manager finds it: of the family, port and GID that are asked for,
/// as far as they are. kInvalidArgument when it has none.
absl::StatusOr<SocketAddress> AddressOfDevice(ibv_context* device, const VerbsChoice& choice, int family);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_DEVICE_ADDRESS_H_
