#ifndef FARFAULT_LIB_FAULT_GUEST_PROCESS_H_
#define FARFAULT_LIB_FAULT_GUEST_PROCESS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// The process that an external guest lives in, held so that its number cannot come to mean another one. Thread-safe.
class GuestProcess {
 public:
  /// 0, or a process that cannot be opened: nothing is known of it.
  explicit GuestProcess(pid_t pid);

  pid_t pid() const { return pid_; }
  /// True only when it certainly has exited. A system call.
  bool exited() const;
  /// MADV_COLLAPSE in that process. Needs CAP_SYS_NICE and the right to trace it; false when the kernel declines.
  bool Collapse(std::byte* address, std::uint64_t length) const;

  /// kAborted: how sessions say that the guest's process has exited.
  static absl::Status Gone() { return absl::AbortedError("the process that the guest lives in has exited"); }

 private:
  pid_t pid_;
  UniqueFd fd_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_FAULT_GUEST_PROCESS_H_
