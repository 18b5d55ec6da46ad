#include "lib/util/mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"

namespace farfault {

absl::StatusOr<Mapping> Mapping::Map(const Request& request) {
  if (request.alignment != 0 && request.fixed_address == nullptr) return MapAligned(request);
  const int fixed = request.fixed_address == nullptr ? 0 : MAP_FIXED_NOREPLACE;
  void* const address = mmap(request.fixed_address, request.length, request.protection, request.flags | fixed,
                             request.fd, static_cast<off_t>(request.offset));
  if (address == MAP_FAILED) return absl::ErrnoToStatus(errno, "mmap");
  Mapping mapping(static_cast<std::byte*>(address), request.length);
  // Kernels before 4.17 take MAP_FIXED_NOREPLACE for a mere wish.
  if (request.fixed_address != nullptr && address != request.fixed_address) return absl::ErrnoToStatus(EEXIST, "mmap");
  return mapping;
}

absl::StatusOr<Mapping> Mapping::MapAligned(const Request& request) {
  // Reserves enough to be able to choose, then lays the real mapping over the right part of it.
  const std::uint64_t reserved = request.length + request.alignment;
  void* const start = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return absl::ErrnoToStatus(errno, "mmap");
  Mapping reservation(static_cast<std::byte*>(start), reserved);
  const auto first = reinterpret_cast<std::uint64_t>(start);
  const std::uint64_t skip = (request.offset - first) & (request.alignment - 1);
  std::byte* const wanted = reservation.data() + skip;
  void* const address = mmap(wanted, request.length, request.protection, request.flags | MAP_FIXED, request.fd,
                             static_cast<off_t>(request.offset));
  if (address == MAP_FAILED) return absl::ErrnoToStatus(errno, "mmap");
  static_cast<void>(reservation.Release());
  Mapping mapping(wanted, request.length);
  if (skip > 0) munmap(start, skip);
  if (skip < request.alignment) munmap(wanted + request.length, request.alignment - skip);
  return mapping;
}

absl::StatusOr<Mapping> Mapping::Anonymous(std::uint64_t length) {
  return Map({.length = length, .protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, size_);
}

std::span<std::byte> Mapping::Release() { return {std::exchange(data_, nullptr), std::exchange(size_, 0)}; }

}  // namespace farfault
