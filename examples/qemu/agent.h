#ifndef FARFAULT_EXAMPLES_QEMU_AGENT_H_
#define FARFAULT_EXAMPLES_QEMU_AGENT_H_

#include "guest_ram.h"

namespace farfault_qemu {

/// At a source: listens at `socket_path` on a thread of its own. Whoever connects (QEMU's own user or root) gets what
/// it takes to follow the guest's writes from outside: a description like the one for a pager, a new userfaultfd on
/// which UFFDIO_API has been done for asynchronous write protection, and the RAM file. When that one hangs up, and no
/// duplicates are left, the kernel takes the protection away.
void StartAgent(const GuestRam& ram, const char* socket_path);

}  // namespace farfault_qemu

#endif  // FARFAULT_EXAMPLES_QEMU_AGENT_H_
