#ifndef FARFAULT_LIB_TRANSPORT_SIM_COPY_BYTES_H_
#define FARFAULT_LIB_TRANSPORT_SIM_COPY_BYTES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "lib/util/device_access.h"

namespace farfault::sim {

template <typename Word>
bool IsAligned(const std::byte* address) {
  return reinterpret_cast<std::uintptr_t>(address) % sizeof(Word) == 0;
}

/// Moves one word as a device does: single-copy atomic on each side that is aligned, and ordered like a store and a
/// load that others synchronise with.
template <typename Word>
void CopyWord(std::byte* to, const std::byte* from) {
  Word word;
  if (IsAligned<Word>(from)) {
    word = std::atomic_ref(*reinterpret_cast<Word*>(const_cast<std::byte*>(from))).load(std::memory_order_acquire);
  } else {
    std::memcpy(&word, from, sizeof(word));
  }
  if (IsAligned<Word>(to)) {
    std::atomic_ref(*reinterpret_cast<Word*>(to)).store(word, std::memory_order_release);
  } else {
    std::memcpy(to, &word, sizeof(word));
  }
}

/// Moves bytes between the two sides' memory, which other threads may use at the same time as they would next to a
/// device's DMA.
inline void CopyBytes(std::byte* to, const std::byte* from, std::size_t length) {
  if (length == 1) return CopyWord<std::uint8_t>(to, from);
  if (length == sizeof(std::uint64_t)) return CopyWord<std::uint64_t>(to, from);
  if (length == 0) return;
  const DeviceAccess access;
  std::memcpy(to, from, length);
}

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_COPY_BYTES_H_
