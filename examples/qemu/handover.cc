#include "handover.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace farfault_qemu {
namespace {

void Arm(int userfaultfd, const GuestRam& ram) {
  uffdio_register range{};
  range.range = {.start = reinterpret_cast<uint64_t>(ram.address), .len = ram.length};
  range.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR;
  if (ioctl(userfaultfd, UFFDIO_REGISTER, &range) != 0) {
    Die("the guest's RAM cannot be registered with userfaultfd: %s", std::strerror(errno));
  }
  // A page that came to be mapped before this would never fault.
  if (madvise(ram.address, ram.length, MADV_DONTNEED) != 0) {
    Die("the guest's RAM cannot be taken out of the mapping: %s", std::strerror(errno));
  }
}

int ConnectToPager(const char* path) {
  const UnixAddress address = MakeUnixAddress("FARFAULT_PAGER", path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd == -1) Die("a socket for the pager: %s", std::strerror(errno));
  if (connect(fd, reinterpret_cast<const sockaddr*>(address.bytes), address.length) != 0) {
    Die("no pager answers at %s: %s. Start it before QEMU: farfault pager --socket %s --listen tcp://0.0.0.0:PORT",
        path, std::strerror(errno), path);
  }
  return fd;
}

}  // namespace

void HandOver(const GuestRam& ram, const char* socket_path) {
  const int pager = ConnectToPager(socket_path);
  const bool huge = ram.page_size != 4096;
  const uint64_t features = huge ? UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MINOR_HUGETLBFS
                                 : UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
  Description description;
  const int userfaultfd = OpenUserfaultfd(features, &description);
  if (userfaultfd == -1) Die("%s", description.text);
  Arm(userfaultfd, ram);
  ram.Describe(&description, R"("registered":true)");
  const int descriptors[] = {userfaultfd, ram.fd};
  if (!SendWithDescriptors(pager, description, descriptors, 2)) {
    Die("the pager at %s hung up: %s; what it printed last says why", socket_path, std::strerror(errno));
  }
  // Both descriptors stay open until QEMU ends: the userfaultfd for the guest's sake, the connection so that the pager
  // notices that end.
}

}  // namespace farfault_qemu
