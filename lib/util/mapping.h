#ifndef FARFAULT_LIB_UTIL_MAPPING_H_
#define FARFAULT_LIB_UTIL_MAPPING_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace farfault {

/// Owns a memory mapping.
class Mapping {
 public:
  struct Request {
    std::uint64_t length = 0;
    int protection = 0;  ///< PROT_*.
    int flags = 0;       ///< MAP_*, without MAP_FIXED.
    int fd = -1;
    std::uint64_t offset = 0;
    /// The address becomes congruent to `offset` modulo this power of two, so that huge pages of the file and of the
    /// address space coincide; 0: wherever the kernel likes.
    std::uint64_t alignment = 0;
    /// Exactly here, where nothing may be mapped yet; null: anywhere.
    void* fixed_address = nullptr;
  };

  /// The errno of mmap as a status; the message says no more than the errno.
  static absl::StatusOr<Mapping> Map(const Request& request);

  /// Private anonymous memory that is not populated yet.
  static absl::StatusOr<Mapping> Anonymous(std::uint64_t length);

  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::byte* data() const { return data_; }
  std::uint64_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }
  /// The caller unmaps it from now on.
  std::span<std::byte> Release();

 private:
  Mapping(std::byte* data, std::uint64_t size) : data_(data), size_(size) {}
  static absl::StatusOr<Mapping> MapAligned(const Request& request);

  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_MAPPING_H_
