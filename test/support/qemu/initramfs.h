#ifndef FARFAULT_TEST_SUPPORT_QEMU_INITRAMFS_H_
#define FARFAULT_TEST_SUPPORT_QEMU_INITRAMFS_H_

#include <string>

#include "absl/status/status.h"

namespace farfault {

/// Writes a cpio archive ("newc", as Linux's Documentation/driver-api/early-userspace/buffer-format.rst describes it)
/// whose only file is `program`, as /init.
absl::Status WriteInitramfs(const std::string& path, const std::string& program);

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_QEMU_INITRAMFS_H_
