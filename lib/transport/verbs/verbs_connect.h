#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_CONNECT_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_CONNECT_H_

#include <memory>

#include "absl/status/statusor.h"
#include "lib/transport/socket_address.h"
#include "lib/transport/transport.h"
#include "lib/transport/verbs/cm_id.h"
#include "lib/transport/verbs/verbs_address.h"
#include "lib/transport/verbs/verbs_transport.h"
#include "lib/util/deadline.h"

namespace farfault {

/// Finds the device and the route to `peer`, which is one of the addresses of `address`.
absl::StatusOr<std::unique_ptr<CmId>> Route(const VerbsTransport& transport, const VerbsAddress& address,
                                            SocketAddress peer, Deadline deadline);

/// Errors as for Transport::Connect; kFailedPrecondition when the route does not lead through the transport's device.
absl::StatusOr<std::unique_ptr<Channel>> ConnectVerbs(VerbsTransport& transport, const VerbsAddress& address,
                                                      const PrivateData& private_data, const ChannelOptions& options,
                                                      Deadline deadline);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_CONNECT_H_
