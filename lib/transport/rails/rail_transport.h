#ifndef FARFAULT_LIB_TRANSPORT_RAILS_RAIL_TRANSPORT_H_
#define FARFAULT_LIB_TRANSPORT_RAILS_RAIL_TRANSPORT_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/transport/rails/rail.h"
#include "lib/transport/rails/rail_keys.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault {

/// Several transports as one: each channel goes over one of them, and memory is registered with all. A key of this
/// transport stands for one on each rail; what the peer's stand for comes through the key exchange. Works over any
/// transport, and does to requests nothing but to put keys in the place of keys.
class RailTransport final : public Transport {
 public:
  /// `rails`: at least one, numbered in order.
  explicit RailTransport(std::vector<std::unique_ptr<Rail>> rails) : rails_(std::move(rails)) {}

  std::string_view scheme() const override { return rails_[0]->transport->scheme(); }
  bool pins_memory() const override;
  /// Costs each rail's device its own registration, and pins once for each.
  absl::StatusOr<std::unique_ptr<RegisteredMemory>> Register(std::span<std::byte> memory, RemoteAccess access) override;
  /// Over `options.rail`. kInvalidArgument when `address` has another number of rails than this transport.
  absl::StatusOr<std::unique_ptr<Channel>> Connect(std::string_view address, const PrivateData& private_data,
                                                   const ChannelOptions& options, Deadline deadline) override;
  absl::StatusOr<std::unique_ptr<Listener>> Listen(std::string_view address) override;
  std::size_t rails() const override { return rails_.size(); }
  KeyExchange* key_exchange() override { return &keys_; }
  std::vector<RailTraffic> Traffic() const override;
  std::string Trouble() override;

 private:
  absl::StatusOr<std::vector<std::string>> Split(std::string_view address) const;

  const std::vector<std::unique_ptr<Rail>> rails_;
  RailKeyBook keys_;
};

/// For an address with rails, over the transports that `MakeTransport` picks. kInvalidArgument for a bad address.
absl::StatusOr<std::unique_ptr<Transport>> MakeRailTransport(std::string_view address);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_RAILS_RAIL_TRANSPORT_H_
