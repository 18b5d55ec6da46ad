#ifndef FARFAULT_LIB_TRANSPORT_TCP_TCP_ADDRESS_H_
#define FARFAULT_LIB_TRANSPORT_TCP_TCP_ADDRESS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/transport/socket_address.h"

namespace farfault {

inline constexpr std::string_view kTcpScheme = "tcp";

/// `tcp://HOST:PORT`.
struct TcpAddress : HostPort {
  std::string ToString() const { return ToUrl(kTcpScheme); }
};

/// kInvalidArgument says what is wrong with `text`.
inline absl::StatusOr<TcpAddress> ParseTcpAddress(std::string_view text) {
  absl::StatusOr<HostPort> parsed = ParseHostPort(kTcpScheme, text);
  if (!parsed.ok()) return parsed.status();
  return TcpAddress{*std::move(parsed)};
}

inline absl::StatusOr<std::vector<SocketAddress>> ResolveTcpAddress(const TcpAddress& address, ResolveFor purpose) {
  return ResolveHostPort(kTcpScheme, address, purpose);
}

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_TCP_ADDRESS_H_
