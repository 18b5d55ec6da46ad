#ifndef FARFAULT_TEST_SUPPORT_LOCAL_TRANSPORT_H_
#define FARFAULT_TEST_SUPPORT_LOCAL_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "lib/transport/transport.h"

namespace farfault {

/// Registers memory and connects to nobody: the test itself is the network. Outlives what it has registered.
class LocalTransport final : public Transport {
 public:
  struct Registration {
    std::span<std::byte> memory;
    RemoteAccess access = RemoteAccess::kNone;
    std::uint32_t key = 0;
  };

  /// What is registered at the moment, in order.
  const std::vector<Registration>& registrations() const { return registrations_; }
  /// Register fails like this from now on.
  void FailWith(absl::Status status) { failure_ = std::move(status); }

  std::string_view scheme() const override { return "local"; }
  absl::StatusOr<std::unique_ptr<RegisteredMemory>> Register(std::span<std::byte> memory, RemoteAccess access) override;
  absl::StatusOr<std::unique_ptr<Channel>> Connect(std::string_view, const PrivateData&, const ChannelOptions&,
                                                   absl::Time) override {
    return absl::UnavailableError("a local transport connects to nobody");
  }
  absl::StatusOr<std::unique_ptr<Listener>> Listen(std::string_view) override {
    return absl::UnavailableError("a local transport hears nobody");
  }

 private:
  class Registered;

  std::vector<Registration> registrations_;
  std::uint32_t next_key_ = 1;
  absl::Status failure_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_LOCAL_TRANSPORT_H_
