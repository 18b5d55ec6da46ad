// Preloaded into an unmodified QEMU: watches it map the file of the guest's RAM, and lets farfault page it.
//
//     FARFAULT_RAM=/dev/shm/vm.ram      the mem-path of the memory backend
//     FARFAULT_PAGER=/run/pager.sock    a destination: hand the memory to `farfault pager`, which answers its faults
//     FARFAULT_AGENT=/run/vm.agent      listen there for `farfault qemu-migrate`, which moves the guest away
//
// Both may be given: a destination of today is the source of tomorrow. Without FARFAULT_RAM it does nothing.
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "agent.h"
#include "guest_ram.h"
#include "handover.h"

namespace {

using farfault_qemu::Die;
using farfault_qemu::GuestRam;

using MmapFunction = void* (*)(void*, size_t, int, int, int, off_t);

MmapFunction RealMmap() {
  static const auto real = reinterpret_cast<MmapFunction>(dlsym(RTLD_NEXT, "mmap64"));
  return real;
}

bool IsRam(int fd, int flags) {
  if (fd < 0 || (flags & MAP_ANONYMOUS) != 0) return false;
  const char* const path = std::getenv("FARFAULT_RAM");
  struct stat wanted{};
  struct stat mapped{};
  return path != nullptr && stat(path, &wanted) == 0 && fstat(fd, &mapped) == 0 && wanted.st_dev == mapped.st_dev &&
         wanted.st_ino == mapped.st_ino;
}

/// What this process has mapped of the RAM file: one range, once.
struct Known {
  std::atomic<bool> mapped{false};
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
};
Known known;

// QEMU maps pages of its RAM anew, in place, after a memory error.
bool IsRepair(const void* address, size_t length, int flags) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  return (flags & MAP_FIXED) != 0 && begin >= known.begin && begin + length <= known.end;
}

// True: the mapping may be had. A guest may be running by now, which must not end for what somebody adds to its QEMU.
bool IsWelcome(const void* address, size_t length, int flags) {
  if (!known.mapped || IsRepair(address, length, flags)) return true;
  std::fprintf(
      stderr,
      "farfault: QEMU maps %s a second time, which is refused: farfault pages one mapping. Give every backend a file "
      "of its own\n",
      std::getenv("FARFAULT_RAM"));
  errno = EBUSY;
  return false;
}

void OnRamMapped(void* address, size_t length, int flags, int fd, off_t offset) {
  if (known.mapped.exchange(true)) return;
  const int error = errno;
  if ((flags & MAP_SHARED) == 0) {
    Die("QEMU maps %s privately: say share=on for its memory backend", std::getenv("FARFAULT_RAM"));
  }
  known.begin = reinterpret_cast<std::uintptr_t>(address);
  known.end = known.begin + length;
  const GuestRam ram = GuestRam::Of(address, length, fd, static_cast<uint64_t>(offset));
  if (const char* const pager = std::getenv("FARFAULT_PAGER")) farfault_qemu::HandOver(ram, pager);
  if (const char* const agent = std::getenv("FARFAULT_AGENT")) farfault_qemu::StartAgent(ram, agent);
  errno = error;
}

void* Map(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
  const bool ram = IsRam(fd, flags);
  if (ram && !IsWelcome(address, length, flags)) return MAP_FAILED;
  void* const mapped = RealMmap()(address, length, protection, flags, fd, offset);
  if (ram && mapped != MAP_FAILED) OnRamMapped(mapped, length, flags, fd, offset);
  return mapped;
}

}  // namespace

extern "C" {
__attribute__((visibility("default"))) void* mmap(void* address, size_t length, int protection, int flags, int fd,
                                                  off_t offset) noexcept {
  return Map(address, length, protection, flags, fd, offset);
}
__attribute__((visibility("default"))) void* mmap64(void* address, size_t length, int protection, int flags, int fd,
                                                    off64_t offset) noexcept {
  return Map(address, length, protection, flags, fd, offset);
}
}
