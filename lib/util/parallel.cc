#include "lib/util/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace farfault {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr std::size_t kMostThreads = 64;

class Work {
 public:
  Work(std::size_t count, const std::function<absl::Status(std::size_t)>& task) : count_(count), task_(task) {}

  void Run() {
    while (!stop_.load(std::memory_order_relaxed)) {
      const std::size_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= count_) break;
      absl::Status status = task_(index);
      if (!status.ok()) Fail(std::move(status));
    }
  }

  void RunAsWorker() {
    Run();
    absl::MutexLock lock(&mutex_);
    --workers_;
  }

  void AddWorker() {
    absl::MutexLock lock(&mutex_);
    ++workers_;
  }

  bool WaitForWorkers(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    const auto done = [](Work* work) ABSL_NO_THREAD_SAFETY_ANALYSIS { return work->workers_ == 0; };
    return mutex_.AwaitWithTimeout(absl::Condition(+done, this), timeout);
  }

  absl::Status status() {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  void Fail(absl::Status status) {
    stop_.store(true, std::memory_order_relaxed);
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) status_ = std::move(status);
  }

  const std::size_t count_;
  const std::function<absl::Status(std::size_t)>& task_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  absl::Mutex mutex_;
  std::size_t workers_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::size_t ThreadCount(std::size_t wanted) {
  if (wanted != 0) return std::min(wanted, kMostThreads);
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return std::clamp<std::size_t>(static_cast<std::size_t>(CPU_COUNT(&cores)), 1, kMostThreads);
}

absl::Status RunInParallel(std::size_t count, std::size_t threads, const std::function<absl::Status(std::size_t)>& task,
                           const std::function<void()>& tick) {
  Work work(count, task);
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < std::min(count, threads); ++i) {
    work.AddWorker();
    try {
      workers.emplace_back([&work] { work.RunAsWorker(); });
    } catch (const std::system_error&) {
      // No more threads to be had: those there are, or else this one, do the work.
      work.RunAsWorker();
      break;
    }
  }
  while (!work.WaitForWorkers(kTick)) {
    if (tick) tick();
  }
  for (std::thread& worker : workers) worker.join();
  if (tick) tick();
  return work.status();
}

}  // namespace farfault
