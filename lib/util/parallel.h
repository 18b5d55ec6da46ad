#ifndef FARFAULT_LIB_UTIL_PARALLEL_H_
#define FARFAULT_LIB_UTIL_PARALLEL_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"

namespace farfault {

/// `wanted`, or one thread per core that this process may use when it is 0.
std::size_t ThreadCount(std::size_t wanted);

/// Calls task(0) … task(count - 1) from up to `threads` threads and returns the first error; after one no new task is
/// begun. `tick`, if there is one, is called about ten times a second on the calling thread, and once at the end.
absl::Status RunInParallel(std::size_t count, std::size_t threads, const std::function<absl::Status(std::size_t)>& task,
                           const std::function<void()>& tick = {});

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_PARALLEL_H_
