#ifndef FARFAULT_EXAMPLES_QEMU_HANDOVER_H_
#define FARFAULT_EXAMPLES_QEMU_HANDOVER_H_

#include "guest_ram.h"

namespace farfault_qemu {

/// At a destination: from now on touching a page of the RAM is a fault that the pager at `socket_path` answers. Ends
/// QEMU when that cannot be. Keeps a duplicate of the userfaultfd, so that the death of the pager parks the guest
/// instead of filling it with zeros.
void HandOver(const GuestRam& ram, const char* socket_path);

}  // namespace farfault_qemu

#endif  // FARFAULT_EXAMPLES_QEMU_HANDOVER_H_
