#ifndef FARFAULT_LIB_UTIL_START_THREAD_H_
#define FARFAULT_LIB_UTIL_START_THREAD_H_

#include <functional>
#include <string_view>
#include <thread>

#include "absl/status/statusor.h"

namespace farfault {

/// Starts a thread that takes none of the program's signals: a handler that touches guest memory would wait for the
/// very thread it interrupts. Signals that an instruction raises (SIGSEGV, …) are not held back. `name` is cut to 15
/// bytes. kResourceExhausted when no thread is to be had.
absl::StatusOr<std::thread> StartThread(std::string_view name, std::function<void()> run);

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_START_THREAD_H_
