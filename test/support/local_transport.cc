#include "test/support/local_transport.h"

namespace farfault {

class LocalTransport::Registered final : public RegisteredMemory {
 public:
  Registered(LocalTransport& transport, std::span<std::byte> memory, std::uint32_t key)
      : RegisteredMemory(memory, key, key), transport_(transport) {}
  ~Registered() override {
    const std::lock_guard lock(transport_.mutex_);
    std::erase_if(transport_.registrations_, [this](const Registration& entry) { return entry.key == local_key(); });
  }

 private:
  LocalTransport& transport_;
};

absl::StatusOr<std::unique_ptr<RegisteredMemory>> LocalTransport::Register(std::span<std::byte> memory,
                                                                           RemoteAccess access) {
  const std::lock_guard lock(mutex_);
  if (!failure_.ok() && until_failure_-- == 0) {
    until_failure_ = 0;
    return failure_;
  }
  registrations_.push_back({memory, access, next_key_});
  return std::make_unique<Registered>(*this, memory, next_key_++);
}

}  // namespace farfault
