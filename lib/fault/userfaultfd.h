#ifndef FARFAULT_LIB_FAULT_USERFAULTFD_H_
#define FARFAULT_LIB_FAULT_USERFAULTFD_H_

#include <linux/userfaultfd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/util/unique_fd.h"

namespace farfault {

enum class UffdStatus : std::uint8_t {
  kDone,
  kExists,  ///< The page behind `bytes_done` is mapped already, or its file has one where none was expected (EEXIST).
  kRetry,   ///< Events wait to be read before anything may be mapped (EAGAIN).
  kRangeGone,  ///< The range is not mapped or not registered any more (ENOENT).
  kGuestGone,  ///< The process that lived in the memory has exited (ESRCH).
  kFailed,     ///< See `error`.
};

struct UffdResult {
  UffdStatus status = UffdStatus::kDone;
  int error = 0;                 ///< errno, unless kDone.
  std::uint64_t bytes_done = 0;  ///< From the start of the range; the whole of it when kDone.
};

/// Whether the threads that wait for a page are woken together with its mapping, or by a Wake later on.
enum class UffdWake : std::uint8_t { kNow, kLater };

/// A userfaultfd: the kernel's promise that touching a page of a registered range parks the thread and tells us.
/// Thread contract: the range operations may be called from any thread; the rest by one thread at a time.
class Userfaultfd {
 public:
  enum class Scope : std::uint8_t {
    kAllFaults,
    /// Faults inside system calls fail with EFAULT instead of being parked. Needs no privilege.
    kUserFaultsOnly,
  };

  /// Opens /dev/userfaultfd, or else the system call, non-blocking and close-on-exec. `wanted_features` are
  /// UFFD_FEATURE_* bits. kPermissionDenied names both ways and the remedies; kUnimplemented names the features that
  /// this kernel lacks, or that it has no userfaultfd at all.
  static absl::StatusOr<Userfaultfd> Open(std::uint64_t wanted_features, Scope scope = Scope::kAllFaults);

  /// Takes over a descriptor on which UFFDIO_API has been done, by another process for instance. `features` are those
  /// that were asked for there.
  static absl::StatusOr<Userfaultfd> Adopt(UniqueFd fd, std::uint64_t features);

  /// The same with a duplicate: `fd` stays the caller's.
  static absl::StatusOr<Userfaultfd> AdoptDuplicate(int fd, std::uint64_t features);

  /// Every feature of this kernel, found out on a descriptor of its own.
  static absl::StatusOr<std::uint64_t> KernelFeatures(Scope scope = Scope::kAllFaults);

  int fd() const { return fd_.get(); }
  /// It is never closed, but by the end of the process.
  void StayOpen() { static_cast<void>(fd_.release()); }
  std::uint64_t features() const { return features_; }

  /// `modes` are UFFDIO_REGISTER_MODE_* bits. Returns the operations that the range allows, `1 << _UFFDIO_*` each; bits
  /// that this build does not know may be set. kFailedPrecondition when another userfaultfd holds the range.
  absl::StatusOr<std::uint64_t> Register(const void* address, std::uint64_t length, std::uint64_t modes);
  /// Wakes everybody who waits in the range.
  absl::Status Unregister(const void* address, std::uint64_t length);

  // Range operations: addresses and lengths are multiples of the page size. They go on by themselves after partial
  // work, neither allocate nor lock, and stop at the first page that cannot be done.

  /// Maps the pages that the file behind the range holds already.
  UffdResult Continue(std::byte* address, std::uint64_t length, UffdWake wake = UffdWake::kNow) const;
  UffdResult Copy(std::byte* address, const std::byte* source, std::uint64_t length,
                  UffdWake wake = UffdWake::kNow) const;
  /// Not for hugetlbfs.
  UffdResult ZeroPage(std::byte* address, std::uint64_t length, UffdWake wake = UffdWake::kNow) const;
  UffdResult Wake(std::byte* address, std::uint64_t length) const;
  /// Write-protects the range, or lifts the protection and wakes the writers.
  UffdResult WriteProtect(std::byte* address, std::uint64_t length, bool protect) const;

 private:
  Userfaultfd(UniqueFd fd, std::uint64_t features) : fd_(std::move(fd)), features_(features) {}

  UniqueFd fd_;
  std::uint64_t features_ = 0;
};

/// "UFFD_FEATURE_MINOR_SHMEM, …" for messages.
std::string UffdFeatureNames(std::uint64_t features);

}  // namespace farfault

#endif  // FARFAULT_LIB_FAULT_USERFAULTFD_H_
