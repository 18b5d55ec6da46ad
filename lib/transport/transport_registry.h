#ifndef FARFAULT_LIB_TRANSPORT_TRANSPORT_REGISTRY_H_
#define FARFAULT_LIB_TRANSPORT_TRANSPORT_REGISTRY_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/transport/transport.h"

namespace farfault {

struct TransportFactory {
  std::string_view scheme;  ///< "tcp" in "tcp://host:port".
  absl::StatusOr<std::unique_ptr<Transport>> (*make)(std::string_view address);
  /// kInvalidArgument says what is wrong with an address without rails, as `make` would, but needs no device.
  absl::Status (*check)(std::string_view address);
};

/// The transports of this build. A transport is added by one line in make_transport.cc; `TransportNames` follows.
std::span<const TransportFactory> TransportFactories();

/// kInvalidArgument when `address`, with its rails if it has any, is none that a transport of this build understands.
/// Whether somebody is there, or a device for it, is not looked at.
absl::Status CheckAddress(std::string_view address);

/// Says that this build has no transport of this name, which it has, and what to do about it.
std::string LacksTransport(std::string_view scheme);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TRANSPORT_REGISTRY_H_
