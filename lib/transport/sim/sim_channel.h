#ifndef FARFAULT_LIB_TRANSPORT_SIM_SIM_CHANNEL_H_
#define FARFAULT_LIB_TRANSPORT_SIM_SIM_CHANNEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "lib/transport/sim/memory_table.h"
#include "lib/transport/transport.h"

namespace farfault::sim {

inline constexpr std::uint32_t kInlineBytes = 64;
inline constexpr std::uint32_t kMaxOutstandingReads = 16;

/// A request that has been posted, with the bytes that were copied out.
struct StoredRequest {
  WorkRequest request;
  std::array<std::byte, kInlineBytes> inline_bytes;

  void Store(const WorkRequest& posted) {
    request = posted;
    if (posted.inline_data && posted.length <= kInlineBytes && posted.length > 0) {
      std::memcpy(inline_bytes.data(), posted.local, posted.length);
    }
  }
  const std::byte* local() const { return request.inline_data ? inline_bytes.data() : request.local; }
};

/// A buffer that waits for a SEND.
struct PostedReceive {
  std::uint64_t id = 0;
  std::span<std::byte> buffer;
  std::uint32_t local_key = 0;
};

/// One end of a channel, as its two ends and the fabric know it.
struct EndOptions {
  DomainId domain = 0;
  ChannelOptions channel;
  std::string name;  ///< What `channel.name` says, owned.

  ChannelLimits limits() const {
    return {channel.send_slots, channel.receive_slots, kMaxOutstandingReads, kInlineBytes};
  }
};

/// Null when a request's own side is in order, else what is wrong with it.
inline const char* LocalError(const MemoryTable& memory, DomainId domain, const WorkRequest& request)
    ABSL_SHARED_LOCKS_REQUIRED(memory.mutex()) {
  if (request.opcode == Opcode::kReceive) return "receives are posted with PostReceive";
  if (request.inline_data) {
    if (request.opcode == Opcode::kRead) return "a READ cannot be inline";
    return request.length <= kInlineBytes ? nullptr : "the inline data is too long";
  }
  if (request.length == 0 || memory.ContainsLocal(domain, request.local_key, request.local, request.length)) {
    return nullptr;
  }
  return "the local key does not cover the local memory";
}

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_SIM_CHANNEL_H_
