#ifndef FARFAULT_LIB_RUNTIME_MEMORY_LEASE_H_
#define FARFAULT_LIB_RUNTIME_MEMORY_LEASE_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"

namespace farfault {

/// Guest memory belongs to one session of a process at a time: two sessions would arm, register or track the same
/// pages against each other. Move-only; thread-safe.
class MemoryLease {
 public:
  /// kFailedPrecondition, naming the region, when any of it is in a session already.
  static absl::StatusOr<MemoryLease> Take(const GuestMemory& memory);

  MemoryLease(MemoryLease&& other) noexcept : number_(std::exchange(other.number_, 0)) {}
  MemoryLease& operator=(MemoryLease&& other) noexcept;
  ~MemoryLease() { Release(); }

 private:
  explicit MemoryLease(std::uint64_t number) : number_(number) {}
  void Release();

  std::uint64_t number_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_MEMORY_LEASE_H_
