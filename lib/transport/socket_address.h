#ifndef FARFAULT_LIB_TRANSPORT_SOCKET_ADDRESS_H_
#define FARFAULT_LIB_TRANSPORT_SOCKET_ADDRESS_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace farfault {

/// The HOST:PORT of `SCHEME://HOST:PORT`: a name, an IPv4 address or an IPv6 address in brackets, and a port from 0 to
/// 65535.
struct HostPort {
  std::string host;  ///< Without brackets.
  std::uint16_t port = 0;

  std::string ToUrl(std::string_view scheme) const;
};

/// kInvalidArgument says what is wrong with `url`, which has to begin with `scheme`.
absl::StatusOr<HostPort> ParseHostPort(std::string_view scheme, std::string_view url);

/// What the system calls take.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  /// "tcp://192.0.2.7:7000".
  std::string ToUrl(std::string_view scheme) const;
};

enum class ResolveFor { kConnecting, kListening };

/// At least one address, in the order in which they are to be tried. A name is looked up with the system's resolver,
/// which may take its own time. kInvalidArgument when there is no such host; kUnavailable when the resolver cannot
/// tell.
absl::StatusOr<std::vector<SocketAddress>> ResolveHostPort(std::string_view scheme, const HostPort& address,
                                                           ResolveFor purpose);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_SOCKET_ADDRESS_H_
