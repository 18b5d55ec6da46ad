#include "lib/fault/guest_process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/util/madvise.h"

namespace farfault {

GuestProcess::GuestProcess(pid_t pid)
    : pid_(pid), fd_(pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1) {}

bool GuestProcess::exited() const {
  if (!fd_.valid()) return false;
  pollfd end{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  return poll(&end, 1, 0) == 1;
}

bool GuestProcess::Collapse(std::byte* address, std::uint64_t length) const {
  if (!fd_.valid()) return false;
  const iovec range{.iov_base = address, .iov_len = length};
  return syscall(SYS_process_madvise, fd_.get(), &range, 1, MADV_COLLAPSE, 0) == static_cast<long>(length);
}

}  // namespace farfault
