#include "lib/fault/userfaultfd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace farfault {
namespace {

struct FeatureName {
  std::uint64_t bit;
  std::string_view name;
};

// By number: the headers that this is built with may be older than the kernel.
constexpr std::array<FeatureName, 17> kFeatures{{
    {1u << 0, "PAGEFAULT_FLAG_WP"},
    {1u << 1, "EVENT_FORK"},
    {1u << 2, "EVENT_REMAP"},
    {1u << 3, "EVENT_REMOVE"},
    {1u << 4, "MISSING_HUGETLBFS (Linux 4.11)"},
    {1u << 5, "MISSING_SHMEM (Linux 4.11)"},
    {1u << 6, "EVENT_UNMAP"},
    {1u << 7, "SIGBUS"},
    {1u << 8, "THREAD_ID"},
    {1u << 9, "MINOR_HUGETLBFS (Linux 5.13)"},
    {1u << 10, "MINOR_SHMEM (Linux 5.14)"},
    {1u << 11, "EXACT_ADDRESS"},
    {1u << 12, "WP_HUGETLBFS_SHMEM (Linux 5.19)"},
    {1u << 13, "WP_UNPOPULATED (Linux 6.4)"},
    {1u << 14, "POISON (Linux 6.6)"},
    {1u << 15, "WP_ASYNC (Linux 6.7)"},
    {1u << 16, "MOVE (Linux 6.8)"},
}};

struct RawFd {
  UniqueFd fd;
  int device_error = 0;
  int syscall_error = 0;
};

RawFd OpenRaw(Userfaultfd::Scope scope) {
  const int flags = O_CLOEXEC | O_NONBLOCK | (scope == Userfaultfd::Scope::kUserFaultsOnly ? UFFD_USER_MODE_ONLY : 0);
  RawFd raw;
  const UniqueFd device(open("/dev/userfaultfd", O_RDWR | O_CLOEXEC));
  if (device.valid()) raw.fd.reset(ioctl(device.get(), USERFAULTFD_IOC_NEW, flags));
  if (!raw.fd.valid()) raw.device_error = errno;
  if (!raw.fd.valid()) raw.fd.reset(static_cast<int>(syscall(SYS_userfaultfd, flags)));
  if (!raw.fd.valid()) raw.syscall_error = errno;
  return raw;
}

absl::Status OpenError(const RawFd& raw) {
  const std::string what =
      fmt::format("cannot get a userfaultfd: /dev/userfaultfd: {}; the system call userfaultfd(2): {}",
                  std::strerror(raw.device_error), std::strerror(raw.syscall_error));
  if (raw.syscall_error == ENOSYS) {
    return absl::UnimplementedError(what +
                                    "; this kernel has none (CONFIG_USERFAULTFD, Linux 5.14 or later is needed)");
  }
  if (raw.syscall_error == EMFILE || raw.syscall_error == ENFILE) {
    return absl::ResourceExhaustedError(what + "; see `ulimit -n`");
  }
  if (raw.syscall_error == EPERM || raw.syscall_error == EACCES) {
    return absl::PermissionDeniedError(
        what +
        "; remedy: run as root or with CAP_SYS_PTRACE, or give this user the device "
        "(setfacl -m u:USER:rw /dev/userfaultfd), or allow it to all (sysctl -w vm.unprivileged_userfaultfd=1)");
  }
  return absl::UnavailableError(what);
}

absl::StatusOr<UniqueFd> OpenOrExplain(Userfaultfd::Scope scope) {
  RawFd raw = OpenRaw(scope);
  if (!raw.fd.valid()) return OpenError(raw);
  return std::move(raw.fd);
}

UffdResult Failed(int error, std::uint64_t done) {
  switch (error) {
    case EEXIST:
      return {UffdStatus::kExists, error, done};
    case EAGAIN:
      return {UffdStatus::kRetry, error, done};
    case ENOENT:
      return {UffdStatus::kRangeGone, error, done};
    case ESRCH:
      return {UffdStatus::kGuestGone, error, done};
    default:
      return {UffdStatus::kFailed, error, done};
  }
}

// Repeats `step(offset, worked)` until the whole length is done. The kernel may stop anywhere; it then says EAGAIN, and
// in `worked` how far it came. The reason only shows when the rest is tried.
template <typename Step>
UffdResult Repeat(std::uint64_t length, Step step) {
  std::uint64_t done = 0;
  while (done < length) {
    std::int64_t worked = 0;
    if (step(done, worked) == 0) return {UffdStatus::kDone, 0, length};
    const int error = errno;
    if (error == EINTR) continue;
    if (error != EAGAIN || worked <= 0) return Failed(error, done);
    done += static_cast<std::uint64_t>(worked);
  }
  return {UffdStatus::kDone, 0, length};
}

std::uint64_t Number(const void* address) { return reinterpret_cast<std::uint64_t>(address); }

absl::Status RegisterError(int error, const void* address, std::uint64_t length) {
  const std::string what =
      fmt::format("userfaultfd does not take the {} bytes at {}: {}", length, fmt::ptr(address), std::strerror(error));
  switch (error) {
    case EBUSY:
      return absl::FailedPreconditionError(
          what + "; another session or program has registered this memory: end that one first");
    case EINVAL:
      return absl::InvalidArgumentError(
          what + "; it must be mapped as a whole, and be private anonymous memory or a file on tmpfs or hugetlbfs");
    case EPERM:
      return absl::PermissionDeniedError(what + "; the file behind it was opened read-only or is sealed");
    case ENOMEM:
      return absl::ResourceExhaustedError(what + "; see vm.max_map_count");
    default:
      return absl::ErrnoToStatus(error, what);
  }
}

}  // namespace

std::string UffdFeatureNames(std::uint64_t features) {
  std::string names;
  for (const FeatureName& feature : kFeatures) {
    if ((features & feature.bit) == 0) continue;
    names += fmt::format("{}UFFD_FEATURE_{}", names.empty() ? "" : ", ", feature.name);
    features &= ~feature.bit;
  }
  if (features != 0) names += fmt::format("{}feature bits {:#x}", names.empty() ? "" : ", ", features);
  return names;
}

absl::StatusOr<std::uint64_t> Userfaultfd::KernelFeatures(Scope scope) {
  const auto fd = OpenOrExplain(scope);
  if (!fd.ok()) return fd.status();
  uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
  if (ioctl(fd->get(), UFFDIO_API, &api) != 0) {
    return absl::UnimplementedError(fmt::format("UFFDIO_API: {}; Linux 5.14 or later is needed", std::strerror(errno)));
  }
  return api.features;
}

absl::StatusOr<Userfaultfd> Userfaultfd::Open(std::uint64_t wanted_features, Scope scope) {
  const auto offered = KernelFeatures(scope);
  if (!offered.ok()) return offered.status();
  if ((wanted_features & ~*offered) != 0) {
    return absl::UnimplementedError(
        fmt::format("this kernel's userfaultfd lacks {}", UffdFeatureNames(wanted_features & ~*offered)));
  }
  auto fd = OpenOrExplain(scope);
  if (!fd.ok()) return fd.status();
  uffdio_api api{.api = UFFD_API, .features = wanted_features, .ioctls = 0};
  if (ioctl(fd->get(), UFFDIO_API, &api) != 0) {
    const int error = errno;
    const std::string what =
        fmt::format("UFFDIO_API with {}: {}", UffdFeatureNames(wanted_features), std::strerror(error));
    if (error == EPERM) return absl::PermissionDeniedError(what + "; fork events need CAP_SYS_PTRACE");
    return absl::ErrnoToStatus(error, what);
  }
  return Userfaultfd(*std::move(fd), wanted_features);
}

absl::StatusOr<Userfaultfd> Userfaultfd::Adopt(UniqueFd fd, std::uint64_t features) {
  const int flags = fd.valid() ? fcntl(fd.get(), F_GETFL) : -1;
  if (flags < 0) return absl::InvalidArgumentError(fmt::format("descriptor {} is not open", fd.get()));
  // Fails on anything but a userfaultfd, and with EINVAL on one that has had its UFFDIO_API.
  uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
  const bool fresh = ioctl(fd.get(), UFFDIO_API, &api) == 0;
  if (fresh || errno != EINVAL) {
    return absl::InvalidArgumentError(
        fmt::format("descriptor {} is not a userfaultfd on which UFFDIO_API has been done", fd.get()));
  }
  if (fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, "fcntl(O_NONBLOCK)");
  return Userfaultfd(std::move(fd), features);
}

absl::StatusOr<Userfaultfd> Userfaultfd::AdoptDuplicate(int fd, std::uint64_t features) {
  UniqueFd duplicate(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!duplicate.valid()) {
    return absl::InvalidArgumentError(
        fmt::format("descriptor {}, the guest's userfaultfd, cannot be duplicated: {}", fd, std::strerror(errno)));
  }
  return Adopt(std::move(duplicate), features);
}

absl::StatusOr<std::uint64_t> Userfaultfd::Register(const void* address, std::uint64_t length, std::uint64_t modes) {
  uffdio_register request{.range = {.start = Number(address), .len = length}, .mode = modes, .ioctls = 0};
  if (ioctl(fd_.get(), UFFDIO_REGISTER, &request) != 0) return RegisterError(errno, address, length);
  return request.ioctls;
}

absl::Status Userfaultfd::Unregister(const void* address, std::uint64_t length) {
  uffdio_range range{.start = Number(address), .len = length};
  if (ioctl(fd_.get(), UFFDIO_UNREGISTER, &range) != 0) {
    return absl::ErrnoToStatus(errno, fmt::format("UFFDIO_UNREGISTER of {} bytes at {}", length, fmt::ptr(address)));
  }
  // The kernel wakes those who wait, and only then sees to it that nobody else begins to. Since faults are taken under
  // the lock of their mapping alone, one that comes in between would wait for ever (Linux 6.18: 1 of 10,000).
  static_cast<void>(ioctl(fd_.get(), UFFDIO_WAKE, &range));
  return absl::OkStatus();
}

UffdResult Userfaultfd::Continue(std::byte* address, std::uint64_t length, UffdWake wake) const {
  const std::uint64_t mode = wake == UffdWake::kNow ? 0 : UFFDIO_CONTINUE_MODE_DONTWAKE;
  return Repeat(length, [&](std::uint64_t offset, std::int64_t& worked) {
    uffdio_continue request{
        .range = {.start = Number(address) + offset, .len = length - offset}, .mode = mode, .mapped = 0};
    const int result = ioctl(fd_.get(), UFFDIO_CONTINUE, &request);
    worked = request.mapped;
    return result;
  });
}

UffdResult Userfaultfd::Copy(std::byte* address, const std::byte* source, std::uint64_t length, UffdWake wake) const {
  const std::uint64_t mode = wake == UffdWake::kNow ? 0 : UFFDIO_COPY_MODE_DONTWAKE;
  return Repeat(length, [&](std::uint64_t offset, std::int64_t& worked) {
    uffdio_copy request{.dst = Number(address) + offset,
                        .src = Number(source) + offset,
                        .len = length - offset,
                        .mode = mode,
                        .copy = 0};
    const int result = ioctl(fd_.get(), UFFDIO_COPY, &request);
    worked = request.copy;
    return result;
  });
}

UffdResult Userfaultfd::ZeroPage(std::byte* address, std::uint64_t length, UffdWake wake) const {
  const std::uint64_t mode = wake == UffdWake::kNow ? 0 : UFFDIO_ZEROPAGE_MODE_DONTWAKE;
  return Repeat(length, [&](std::uint64_t offset, std::int64_t& worked) {
    uffdio_zeropage request{
        .range = {.start = Number(address) + offset, .len = length - offset}, .mode = mode, .zeropage = 0};
    const int result = ioctl(fd_.get(), UFFDIO_ZEROPAGE, &request);
    worked = request.zeropage;
    return result;
  });
}

UffdResult Userfaultfd::Wake(std::byte* address, std::uint64_t length) const {
  return Repeat(length, [&](std::uint64_t offset, std::int64_t&) {
    uffdio_range range{.start = Number(address) + offset, .len = length - offset};
    return ioctl(fd_.get(), UFFDIO_WAKE, &range);
  });
}

UffdResult Userfaultfd::WriteProtect(std::byte* address, std::uint64_t length, bool protect) const {
  const std::uint64_t mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0;
  return Repeat(length, [&](std::uint64_t offset, std::int64_t&) {
    uffdio_writeprotect request{.range = {.start = Number(address) + offset, .len = length - offset}, .mode = mode};
    return ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &request);
  });
}

}  // namespace farfault
