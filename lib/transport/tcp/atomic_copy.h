#ifndef FARFAULT_LIB_TRANSPORT_TCP_ATOMIC_COPY_H_
#define FARFAULT_LIB_TRANSPORT_TCP_ATOMIC_COPY_H_

#include <atomic>
#include <cstddef>
#include <cstring>

namespace farfault {

/// Copies a T that others may access meanwhile, as one access (see IsAtomicAccess).
template <typename T>
void StoreAtomically(std::byte* target, const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  std::atomic_ref(*reinterpret_cast<T*>(target)).store(value, std::memory_order_seq_cst);
}

template <typename T>
void LoadAtomically(std::byte* bytes, const std::byte* source) {
  // atomic_ref<const T> comes with C++26.
  T& shared = *reinterpret_cast<T*>(const_cast<std::byte*>(source));
  const T value = std::atomic_ref(shared).load(std::memory_order_seq_cst);
  std::memcpy(bytes, &value, sizeof(value));
}

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_ATOMIC_COPY_H_
