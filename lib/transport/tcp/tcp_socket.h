#ifndef FARFAULT_LIB_TRANSPORT_TCP_TCP_SOCKET_H_
#define FARFAULT_LIB_TRANSPORT_TCP_TCP_SOCKET_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/util/deadline.h"

namespace farfault {

/// A peer that acknowledges nothing for this long is taken for dead, whether bytes are on their way to it
/// (TCP_USER_TIMEOUT) or not (keepalive). An owner of a Service::kPolled channel that does not poll for as long while
/// the peer has more to send than the socket buffers hold looks dead, too.
inline constexpr absl::Duration kTcpDeadPeerTimeout = absl::Seconds(20);

/// Sets what every channel wants of its socket: no Nagle delay, and notice of a peer that died silently. Buffer sizes
/// are left to the kernel, whose automatic tuning goes beyond what SO_SNDBUF and SO_RCVBUF may ask for.
absl::Status TuneChannelSocket(int fd);

/// "what: reason" with errno's text, for errors that only a lack of resources can cause.
absl::Status SocketError(std::string_view what, int error);

/// Waits until `fd` has one of `events` or `deadline` comes. False: it came, or poll failed.
bool WaitForSocket(int fd, short events, Deadline deadline);

/// The milliseconds that poll takes: rounded up, never negative, -1 for ever.
int PollTimeout(Deadline deadline);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_TCP_SOCKET_H_
