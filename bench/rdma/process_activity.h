#ifndef FARFAULT_BENCH_RDMA_PROCESS_ACTIVITY_H_
#define FARFAULT_BENCH_RDMA_PROCESS_ACTIVITY_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/util/unique_fd.h"

namespace farfault::bench {

/// What all threads of a process have done so far.
struct Activity {
  std::uint64_t system_calls = 0;  ///< Entered since the watch began.
  std::uint64_t wakeups = 0;       ///< How often the scheduler has put one of its threads on a CPU.
  std::uint64_t cpu_nanoseconds = 0;
  std::size_t threads = 0;  ///< That have not ended. Where one has between two readings the rest is too little.
};

/// Counts what another process does without disturbing it: system calls with the kernel's tracepoint for their entry,
/// through perf_event_open(2), and the rest from /proc/PID/task/TID/schedstat. Threads that begin later are not seen,
/// and of one that has ended counts what it had done when it was last seen.
/// One thread.
class ProcessWatch {
 public:
  /// kResourceExhausted when the kernel offers no such counter to this process (needs root, and tracefs).
  static absl::StatusOr<ProcessWatch> Start(pid_t process);

  absl::StatusOr<Activity> Read();

 private:
  struct Thread {
    pid_t id = 0;
    UniqueFd system_calls;
    std::uint64_t cpu_nanoseconds = 0;  ///< When it was last seen.
    std::uint64_t wakeups = 0;
  };
  explicit ProcessWatch(pid_t process) : process_(process) {}

  pid_t process_;
  std::vector<Thread> threads_;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_RDMA_PROCESS_ACTIVITY_H_
