#ifndef FARFAULT_TEST_SUPPORT_FILL_H_
#define FARFAULT_TEST_SUPPORT_FILL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace farfault {

/// Bytes that tell one page from another and from zeros.
inline std::byte PatternByte(std::uint64_t page, std::size_t offset, std::uint64_t salt = 0) {
  return static_cast<std::byte>(1 + (page * 131 + offset * 7 + salt * 29) % 255);
}

inline void FillPattern(std::span<std::byte> bytes, std::uint64_t page, std::uint64_t salt = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = PatternByte(page, i, salt);
}

inline bool HasPattern(std::span<const std::byte> bytes, std::uint64_t page, std::uint64_t salt = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != PatternByte(page, i, salt)) return false;
  }
  return true;
}

inline bool AllZero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_FILL_H_
