#ifndef FARFAULT_LIB_TRANSPORT_SIM_MEMORY_TABLE_H_
#define FARFAULT_LIB_TRANSPORT_SIM_MEMORY_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/transport/transport.h"
#include "lib/util/mutex.h"

namespace farfault::sim {

/// Which of a fabric's transports memory and channels belong to; keys of one are nothing to another.
using DomainId = std::uint32_t;

/// The registered memory of all transports of one fabric. Whoever moves bytes holds `mutex()` for reading, so that
/// revoking a key waits for the bytes that are on their way through it.
class MemoryTable {
 public:
  SharedMutex& mutex() const ABSL_LOCK_RETURNED(mutex_) { return mutex_; }

  /// The returned object must not outlive the table.
  std::unique_ptr<RegisteredMemory> Register(DomainId domain, std::span<std::byte> memory, RemoteAccess access);

  /// Null unless `key` names memory of `domain` that contains the range and may be used like this by a peer.
  std::byte* FindRemote(DomainId domain, std::uint32_t key, std::uint64_t address, std::uint64_t length,
                        RemoteAccess access) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  /// Whether the range may be used by its own side under `key`.
  bool ContainsLocal(DomainId domain, std::uint32_t key, const std::byte* address, std::uint64_t length) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

 private:
  struct Entry {
    std::uint32_t key = 0;  // 0: free.
    DomainId domain = 0;
    RemoteAccess access = RemoteAccess::kNone;
    std::byte* base = nullptr;
    std::uint64_t length = 0;
  };
  class Registration;

  static constexpr std::uint32_t kIndexBits = 16;

  const Entry* Find(DomainId domain, std::uint32_t key, std::uint64_t address, std::uint64_t length) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Revoke(std::uint32_t key);

  mutable SharedMutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> free_ ABSL_GUARDED_BY(mutex_);
  // Part of every key, so that a key that was revoked does not come back with the next registration.
  std::uint32_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_MEMORY_TABLE_H_
