#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_ADDRESS_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/transport/socket_address.h"

namespace farfault {

inline constexpr std::string_view kVerbsScheme = "verbs";

/// What this side wants otherwise than rdma_cm and the device would have it. Says nothing about the peer.
struct VerbsChoice {
  std::string device;  ///< "rxe0"; empty: the one that the address belongs to or is routed through.
  std::optional<std::uint8_t> port;
  std::optional<std::uint16_t> gid;           ///< Index in the port's table.
  std::optional<std::uint8_t> tclass;         ///< Traffic class of RoCE packets, which switches map to priorities.
  std::optional<std::uint8_t> reads;          ///< Most READs on their way at once, 1 to 254.
  std::optional<std::uint32_t> inline_bytes;  ///< Asked of the device, up to 256; 0: none.
  bool on_demand = false;                     ///< Leave guest memory unpinned; an error where the device can't.

  /// Whether this side's address follows from the choice.
  bool forces_address() const { return !device.empty(); }
};

/// `verbs://HOST:PORT[?device=rxe0&port=1&gid=1&tclass=106&reads=16&inline=64&odp=1]`. HOST is an address of the
/// network interface that the RDMA device belongs to.
struct VerbsAddress {
  HostPort host_port;
  VerbsChoice choice;

  /// Without the choice: that is this side's affair.
  std::string ToString() const { return host_port.ToUrl(kVerbsScheme); }
};

/// kInvalidArgument says what is wrong with `text`.
absl::StatusOr<VerbsAddress> ParseVerbsAddress(std::string_view text);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_ADDRESS_H_
