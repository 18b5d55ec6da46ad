#ifndef FARFAULT_LIB_TRANSPORT_TCP_TCP_CONNECT_H_
#define FARFAULT_LIB_TRANSPORT_TCP_TCP_CONNECT_H_

#include <string>

#include "absl/status/statusor.h"
#include "lib/transport/tcp/tcp_address.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "lib/util/unique_fd.h"

namespace farfault {

struct TcpConnection {
  UniqueFd socket;   ///< Non-blocking, past the hello.
  std::string peer;  ///< For messages.
};

/// Connects and exchanges the hello. Tries every address of a name. Errors as for Transport::Connect, and
/// kFailedPrecondition when what listens there speaks another version, or is no farfault.
absl::StatusOr<TcpConnection> ConnectTcp(const TcpAddress& address, const PrivateData& private_data, Deadline deadline);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_TCP_CONNECT_H_
