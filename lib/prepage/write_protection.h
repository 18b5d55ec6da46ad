#ifndef FARFAULT_LIB_PREPAGE_WRITE_PROTECTION_H_
#define FARFAULT_LIB_PREPAGE_WRITE_PROTECTION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"

namespace farfault {

/// Asynchronous write protection by userfaultfd: the kernel lets every write through and takes the page's mark away,
/// and nobody has to read events. Owns the userfaultfd; closing it takes all marks away. One thread at a time.
class WriteProtection {
 public:
  static absl::StatusOr<WriteProtection> Open();

  WriteProtection(WriteProtection&& other) noexcept;
  WriteProtection& operator=(WriteProtection&& other) noexcept;
  ~WriteProtection();

  absl::Status Register(const Region& region) const;
  /// Marks pages, populated or not. [address, address + length) lies in a registered region.
  absl::Status Protect(std::byte* address, std::uint64_t length) const;
  absl::Status Unregister(const Region& region) const;

 private:
  explicit WriteProtection(int fd) : fd_(fd) {}

  int fd_ = -1;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PREPAGE_WRITE_PROTECTION_H_
