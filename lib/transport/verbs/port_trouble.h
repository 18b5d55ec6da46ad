#ifndef FARFAULT_LIB_TRANSPORT_VERBS_PORT_TROUBLE_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_PORT_TROUBLE_H_

#include <infiniband/verbs.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace farfault {

/// Why a port that is in `state` carries nothing, and what to do: empty when it is active. `interface` is the network
/// interface that it belongs to, empty when that is not known.
std::string PortTroubleText(std::string_view device, std::uint32_t port, ibv_port_state state, bool ethernet,
                            std::string_view interface);
/// The same of a port of this host, as it is now.
std::string PortTrouble(ibv_context* device, std::uint32_t port);

/// The device is not this host's any more. The kernel may still wait for this process to let go of it.
bool IsRemoved(const ibv_context* device);
/// What that means, and what to do.
std::string RemovedText(std::string_view device);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_PORT_TROUBLE_H_
