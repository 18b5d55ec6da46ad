#ifndef FARFAULT_LIB_TRANSPORT_SIM_SIM_ADDRESS_H_
#define FARFAULT_LIB_TRANSPORT_SIM_SIM_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/transport/sim/sim_link_model.h"

namespace farfault::sim {

/// `sim://NAME[:PORT][?latency=5us&bandwidth=10Gbps&jitter=1us&seed=1]`.
struct SimAddress {
  std::string fabric;
  /// 0: the fabric's listener without a port.
  std::uint32_t port = 0;
  /// ":0" was given: a listener picks a port.
  bool any_port = false;
  /// Nothing when the address says nothing about the link.
  std::optional<SimLinkModel> model;
  /// What stood behind the question mark.
  std::string properties;

  /// kInvalidArgument with the offending part.
  static absl::StatusOr<SimAddress> Parse(std::string_view text);
  std::string ToString() const;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_SIM_ADDRESS_H_
