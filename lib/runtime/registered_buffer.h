#ifndef FARFAULT_LIB_RUNTIME_REGISTERED_BUFFER_H_
#define FARFAULT_LIB_RUNTIME_REGISTERED_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/transport/transport.h"
#include "lib/util/mapping.h"

namespace farfault {

/// Zeroed, page-aligned memory of our own, registered with a transport. Move-only.
class RegisteredBuffer {
 public:
  RegisteredBuffer() = default;  ///< Empty: assign to it before use.
  static absl::StatusOr<RegisteredBuffer> Create(Transport& transport, std::size_t bytes, RemoteAccess access);

  std::span<std::byte> bytes() const { return registration_->bytes(); }
  std::uint32_t local_key() const { return registration_->local_key(); }
  std::uint32_t remote_key() const { return registration_->remote_key(); }
  std::uint64_t remote_address() const { return registration_->remote_address(); }

 private:
  RegisteredBuffer(Mapping memory, std::unique_ptr<RegisteredMemory> registration)
      : memory_(std::move(memory)), registration_(std::move(registration)) {}

  Mapping memory_;
  std::unique_ptr<RegisteredMemory> registration_;  // After memory_: ends first.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_REGISTERED_BUFFER_H_
