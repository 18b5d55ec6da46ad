#ifndef FARFAULT_TEST_SUPPORT_LOCAL_TRANSPORT_H_
#define FARFAULT_TEST_SUPPORT_LOCAL_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

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
  /// Register fails like this from now on, or once `registrations` more have succeeded.
  void FailWith(absl::Status status, std::size_t registrations = 0) {
    failure_ = std::move(status);
    until_failure_ = registrations;
  }
  /// Says that registering pins, though it does not.
  void SayThatItPins() { pins_ = true; }
  bool pins_memory() const override { return pins_; }

  std::string_view scheme() const override { return "local"; }
  absl::StatusOr<std::unique_ptr<RegisteredMemory>> Register(std::span<std::byte> memory, RemoteAccess access) override;
  absl::StatusOr<std::unique_ptr<Channel>> Connect(std::string_view, const PrivateData&, const ChannelOptions&,
                                                   Deadline) override {
    return absl::UnavailableError("a local transport connects to nobody");
  }
  absl::StatusOr<std::unique_ptr<Listener>> Listen(std::string_view) override {
    return absl::UnavailableError("a local transport hears nobody");
  }

 private:
  class Registered;

  std::vector<Registration> registrations_;
  std::mutex mutex_;  // Extents are registered by several threads.
  std::uint32_t next_key_ = 1;
  absl::Status failure_;
  std::size_t until_failure_ = 0;
  bool pins_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_LOCAL_TRANSPORT_H_
