#ifndef FARFAULT_TEST_SUPPORT_PROCESS_TREE_H_
#define FARFAULT_TEST_SUPPORT_PROCESS_TREE_H_

#include <sys/types.h>

#include <string>

namespace farfault {

/// What each thread of a process and of its descendants waits in, a line each: names, numbers, the kernel's function
/// (proc_pid_wchan(5)) and the system call with its arguments, as far as this process may see them. For what hangs.
std::string WhatThreadsWaitIn(pid_t process);

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_PROCESS_TREE_H_
