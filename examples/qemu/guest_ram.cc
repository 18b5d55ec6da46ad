#include "guest_ram.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace farfault_qemu {

void Die(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fputs("farfault: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  std::fflush(stderr);
  _exit(1);
}

GuestRam GuestRam::Of(void* address, size_t length, int fd, uint64_t file_offset) {
  GuestRam ram{.address = address, .length = length, .file_offset = file_offset, .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)};
  if (ram.fd == -1) Die("the RAM file's descriptor cannot be duplicated: %s", std::strerror(errno));
  struct statfs about{};
  if (fstatfs(fd, &about) != 0) Die("the RAM file's file system is unknown: %s", std::strerror(errno));
  if (about.f_type == HUGETLBFS_MAGIC) {
    ram.page_size = static_cast<uint64_t>(about.f_bsize);
    if (ram.page_size != 2u << 20) {
      Die("the RAM file has huge pages of %llu bytes, farfault moves those of 2 MiB: choose another pagesize= of "
          "hugetlbfs",
          static_cast<unsigned long long>(ram.page_size));
    }
  } else if (about.f_type != TMPFS_MAGIC) {
    Die("the RAM file is neither on tmpfs nor on hugetlbfs, where userfaultfd does not work: put it on /dev/shm");
  }
  return ram;
}

int OpenUserfaultfd(uint64_t features, Description* why) {
  int fd = -1;
  const int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  const int device_error = errno;
  if (device != -1) {
    fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
    close(device);
  }
  if (fd == -1) fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  if (fd == -1) {
    why->Print(
        "no userfaultfd for the guest's memory: /dev/userfaultfd: %s, the system call: %s. Give QEMU's user access to "
        "/dev/userfaultfd, or CAP_SYS_PTRACE, or set vm.unprivileged_userfaultfd=1",
        std::strerror(device_error), std::strerror(errno));
    return -1;
  }
  uffdio_api api{.api = UFFD_API, .features = features, .ioctls = 0};
  if (ioctl(fd, UFFDIO_API, &api) == 0) return fd;
  why->Print(
      "this kernel's userfaultfd lacks something of the features %#llx: Linux 5.14 is needed at a destination, 6.7 at "
      "a source",
      static_cast<unsigned long long>(features));
  close(fd);
  return -1;
}

void GuestRam::Describe(Description* description, const char* more_keys) const {
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  description->Print(R"([{"base_host_virt_addr":%llu,"size":%llu,"offset":%llu,"page_size":%llu,"page_size_kib":%llu,)"
                     R"("shared_file":true,%s}])",
                     number(reinterpret_cast<uintptr_t>(address)), number(length), number(file_offset),
                     number(page_size), number(page_size), more_keys);
}

void Description::Print(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  const int printed = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  length = printed < 0 ? 0 : std::min(static_cast<size_t>(printed), sizeof text - 1);
}

bool SendWithDescriptors(int socket, const Description& description, const int* descriptors, size_t count) {
  iovec text{.iov_base = const_cast<char*>(description.text), .iov_len = description.length};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
  }
  // So short a text goes whole or not at all.
  return sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(description.length);
}

UnixAddress MakeUnixAddress(const char* variable, const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) {
    Die("%s='%s' is no path of a UNIX socket: 1 to %zu bytes are possible", variable, path,
        sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path, length);
  UnixAddress result;
  static_assert(sizeof address <= sizeof result.bytes);
  std::memcpy(result.bytes, &address, sizeof address);
  result.length = sizeof address;
  return result;
}

}  // namespace farfault_qemu
