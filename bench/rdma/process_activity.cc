#include "bench/rdma/process_activity.h"

#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

namespace farfault::bench {
namespace {

/// The number of the tracepoint that every system call passes; 0 when it cannot be found.
std::uint64_t SystemCallTracepoint() {
  for (const char* tracing : {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}) {
    std::uint64_t number = 0;
    if (std::ifstream(std::string(tracing) + "/events/raw_syscalls/sys_enter/id") >> number) return number;
  }
  return 0;
}

UniqueFd CountOf(std::uint64_t tracepoint, pid_t thread) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.size = sizeof(attributes);
  attributes.config = tracepoint;
  return UniqueFd(static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, thread, /*cpu=*/-1, /*group=*/-1, PERF_FLAG_FD_CLOEXEC)));
}

std::string TasksOf(pid_t process) { return fmt::format("/proc/{}/task", process); }

}  // namespace

absl::StatusOr<ProcessWatch> ProcessWatch::Start(pid_t process) {
  const std::uint64_t tracepoint = SystemCallTracepoint();
  if (tracepoint == 0) {
    return absl::ResourceExhaustedError(
        "system calls cannot be counted: the tracepoint raw_syscalls:sys_enter is not to be seen (needs root and "
        "mount -t tracefs tracefs /sys/kernel/tracing)");
  }
  ProcessWatch watch(process);
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(TasksOf(process), error)) {
    const std::string name = task.path().filename();
    Thread thread;
    std::from_chars(name.data(), name.data() + name.size(), thread.id);
    thread.system_calls = CountOf(tracepoint, thread.id);
    if (!thread.system_calls.valid() && errno == ESRCH) continue;  // It has ended since.
    if (!thread.system_calls.valid()) {
      return absl::ResourceExhaustedError(
          fmt::format("system calls cannot be counted: {}", absl::ErrnoToStatus(errno, "perf_event_open").ToString()));
    }
    watch.threads_.push_back(std::move(thread));
  }
  if (error) return absl::InternalError(fmt::format("the threads of process {}: {}", process, error.message()));
  return watch;
}

absl::StatusOr<Activity> ProcessWatch::Read() {
  Activity activity;
  for (Thread& thread : threads_) {
    std::uint64_t count = 0;
    if (read(thread.system_calls.get(), &count, sizeof(count)) != sizeof(count)) {
      return absl::ErrnoToStatus(errno, "reading a count of system calls");
    }
    activity.system_calls += count;
    // Documentation/scheduler/sched-stats.rst: time on a CPU, time waiting for one, how often it was put on one.
    std::uint64_t ran = 0;
    std::uint64_t waited = 0;
    std::uint64_t times = 0;
    std::ifstream statistics(fmt::format("{}/{}/schedstat", TasksOf(process_), thread.id));
    if (statistics >> ran >> waited >> times) {
      thread.cpu_nanoseconds = ran;
      thread.wakeups = times;
      ++activity.threads;
    }
    activity.cpu_nanoseconds += thread.cpu_nanoseconds;
    activity.wakeups += thread.wakeups;
  }
  return activity;
}

}  // namespace farfault::bench
