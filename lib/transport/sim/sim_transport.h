#ifndef FARFAULT_LIB_TRANSPORT_SIM_SIM_TRANSPORT_H_
#define FARFAULT_LIB_TRANSPORT_SIM_SIM_TRANSPORT_H_

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/transport/transport.h"

namespace farfault {

/// This side's share of an in-process fabric, `sim://NAME[:PORT][?latency=5us&bandwidth=10Gbps&jitter=1us&seed=1]`.
/// Whoever names a fabric first makes it and decides its properties; it lives as long as one of its transports. Without
/// any, operations execute at once, in the thread that posts them. kInvalidArgument for a bad address, and when the
/// fabric exists with other properties.
absl::StatusOr<std::unique_ptr<Transport>> MakeSimTransport(std::string_view address);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_SIM_SIM_TRANSPORT_H_
