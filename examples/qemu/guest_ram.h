#ifndef FARFAULT_EXAMPLES_QEMU_GUEST_RAM_H_
#define FARFAULT_EXAMPLES_QEMU_GUEST_RAM_H_

#include <cstddef>
#include <cstdint>

namespace farfault_qemu {

/// Prints "farfault: …" and ends QEMU: a guest whose memory is not looked after must not run.
[[noreturn, gnu::format(printf, 1, 2)]] void Die(const char* format, ...);

struct Description;

/// The one mapping of the guest's RAM in this process.
struct GuestRam {
  void* address = nullptr;
  uint64_t length = 0;
  uint64_t file_offset = 0;
  uint64_t page_size = 4096;
  int fd = -1;  ///< Of its own, for as long as the process lives.

  static GuestRam Of(void* address, size_t length, int fd, uint64_t file_offset);
  /// As Firecracker describes a region, with farfault's own keys: lib/cli/pager/README.md.
  void Describe(Description* description, const char* more_keys) const;
};

/// What travels with the descriptors.
struct Description {
  char text[512] = {};
  size_t length = 0;

  [[gnu::format(printf, 2, 3)]] void Print(const char* format, ...);
};

/// A userfaultfd on which UFFDIO_API has been done with `features`; or -1, and `why` says what is lacking.
int OpenUserfaultfd(uint64_t features, Description* why);

/// Sends the description with up to two descriptors; false with errno.
bool SendWithDescriptors(int socket, const Description& description, const int* descriptors, size_t count);

/// An AF_UNIX address or the end of QEMU.
struct UnixAddress {
  alignas(8) unsigned char bytes[128];
  uint32_t length = 0;
};
UnixAddress MakeUnixAddress(const char* variable, const char* path);

}  // namespace farfault_qemu

#endif  // FARFAULT_EXAMPLES_QEMU_GUEST_RAM_H_
