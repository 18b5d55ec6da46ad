#ifndef FARFAULT_LIB_PREPAGE_PAGEMAP_H_
#define FARFAULT_LIB_PREPAGE_PAGEMAP_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// The PAGEMAP_SCAN ioctl of Linux 6.7 and later on a process's /proc/PID/pagemap. Owns the file. One thread at a time.
class Pagemap {
 public:
  /// What the kernel says of a page; bits of `Query`.
  enum Category : std::uint64_t {
    kWritten = 1u << 1,  ///< Mapped or swapped, and not write-protected.
    kPresent = 1u << 3,
    kSwapped = 1u << 4,  ///< Swapped out, or a mark without a page.
    kZeroPage = 1u << 5,
    kHuge = 1u << 6,  ///< Mapped by a huge page-table entry.
  };

  struct Query {
    std::uint64_t all_of = 0;    ///< Categories that a page must be in,
    std::uint64_t none_of = 0;   ///< and those that it must not be in.
    bool protect_again = false;  ///< Write-protect what is found; fails where asynchronous protection is not armed.
  };

  struct AddressRange {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  /// kUnimplemented: the kernel is too old.
  static absl::StatusOr<Pagemap> OpenSelf();
  /// Of another process; 0 or a process that is gone: kNotFound. kPermissionDenied: one that we may not trace
  /// (ptrace(2)).
  static absl::StatusOr<Pagemap> Open(pid_t pid);

  /// Calls `found` for each maximal stretch of matching pages in [begin, end), ascending. Stretches may touch each
  /// other.
  absl::Status Scan(AddressRange range, const Query& query, absl::FunctionRef<void(AddressRange)> found) const;

  /// The same for pages that are kWritten or not kPresent, with which of kWritten, kPresent and kSwapped they are: one
  /// walk through the page tables, which is what a look at a large memory costs.
  absl::Status ScanWrittenOrAbsent(AddressRange range,
                                   absl::FunctionRef<void(AddressRange, std::uint64_t categories)> found) const;

 private:
  struct ScanArgument;
  absl::Status Walk(AddressRange range, ScanArgument argument,
                    absl::FunctionRef<void(AddressRange, std::uint64_t categories)> found) const;
  static absl::StatusOr<Pagemap> OpenPath(const std::string& path);
  explicit Pagemap(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PREPAGE_PAGEMAP_H_
