#ifndef FARFAULT_LIB_TRANSPORT_SIM_SIM_SIDE_H_
#define FARFAULT_LIB_TRANSPORT_SIM_SIM_SIDE_H_

#include <memory>
#include <string_view>

#include "lib/transport/sim/sim_address.h"
#include "lib/transport/sim/sim_fabric.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault::sim {

/// One side's share of a sim fabric.
class SimSide final : public Transport {
 public:
  SimSide(std::shared_ptr<SimFabric> fabric, DomainId domain) : fabric_(std::move(fabric)), domain_(domain) {}

  std::string_view scheme() const override { return "sim"; }
  absl::StatusOr<std::unique_ptr<RegisteredMemory>> Register(std::span<std::byte> memory, RemoteAccess access) override;
  absl::StatusOr<std::unique_ptr<Channel>> Connect(std::string_view address, const PrivateData& private_data,
                                                   const ChannelOptions& options, Deadline deadline) override;
  absl::StatusOr<std::unique_ptr<Listener>> Listen(std::string_view address) override;

  EndOptions End(const ChannelOptions& options) const;

 private:
  /// kInvalidArgument when the address is bad or another fabric's; kFailedPrecondition with a virtual clock: nobody
  /// could answer while the only thread waits.
  absl::StatusOr<SimAddress> ParseOwn(std::string_view address) const;

  const std::shared_ptr<SimFabric> fabric_;
  const DomainId domain_;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_SIM_SIDE_H_
