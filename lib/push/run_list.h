#ifndef FARFAULT_LIB_PUSH_RUN_LIST_H_
#define FARFAULT_LIB_PUSH_RUN_LIST_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "farfault/page.h"

namespace farfault {

/// The message that follows a batch of WRITEs on the same push channel and so proves that they have arrived.
/// Little-endian.
struct RunListHeader {
  static constexpr std::uint32_t kMagic = 0x4c525546;
  enum Flags : std::uint32_t { kPrePaged = 1 };

  std::uint32_t magic = kMagic;
  std::uint32_t flags = 0;
  std::uint64_t number = 0;  ///< Run lists of one channel are numbered from 1.
  std::uint32_t runs = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(RunListHeader) == 24);

struct RunListEntry {
  std::uint64_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(RunListEntry) == 16);

inline constexpr std::size_t kMaxRunsPerList = 32;
inline constexpr std::size_t kRunListBytes = sizeof(RunListHeader) + kMaxRunsPerList * sizeof(RunListEntry);

/// Where the next bytes go in a staging ring. The source places runs with it and the destination finds them again with
/// its own copy, fed with the same lengths in the same order. A run never wraps: what is left at the end is skipped.
class StagingCursor {
 public:
  explicit StagingCursor(std::uint64_t ring_bytes = 0) : ring_bytes_(ring_bytes) {}

  /// Bytes that were ever used up, gaps included; the credit word holds the destination's value of it.
  std::uint64_t position() const { return position_; }
  std::uint64_t ring_bytes() const { return ring_bytes_; }

  /// Position after placing `bytes`, without placing them.
  std::uint64_t After(std::uint64_t bytes) const { return position_ + Gap(bytes) + bytes; }

  /// Places `bytes` (at most ring_bytes) and returns their offset in the ring.
  std::uint64_t Place(std::uint64_t bytes) {
    position_ += Gap(bytes);
    const std::uint64_t offset = position_ % ring_bytes_;
    position_ += bytes;
    return offset;
  }

 private:
  std::uint64_t Gap(std::uint64_t bytes) const {
    const std::uint64_t left = ring_bytes_ - position_ % ring_bytes_;
    return bytes > left ? left : 0;
  }

  std::uint64_t ring_bytes_;
  std::uint64_t position_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PUSH_RUN_LIST_H_
