#include "lib/util/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "lib/util/start_thread.h"

namespace farfault {
namespace {

constexpr std::chrono::milliseconds kTick(100);
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
    const std::lock_guard lock(mutex_);
    if (--workers_ == 0) finished_.notify_one();
  }

  void AddWorker() {
    const std::lock_guard lock(mutex_);
    ++workers_;
  }

  /// False when some still work after `timeout`.
  bool WaitForWorkers(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return finished_.wait_for(lock, timeout, [this] { return workers_ == 0; });
  }

  /// Once the workers have finished.
  const absl::Status& status() const { return status_; }

 private:
  void Fail(absl::Status status) {
    stop_.store(true, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (status_.ok()) status_ = std::move(status);
  }

  const std::size_t count_;
  const std::function<absl::Status(std::size_t)>& task_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  // Not absl::Mutex: ThreadSanitizer does not see the locks of an Abseil that was built without it.
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable finished_;
  std::size_t workers_ = 0;
  absl::Status status_;
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
    absl::StatusOr<std::thread> worker = StartThread("ff-worker", [&work] { work.RunAsWorker(); });
    if (!worker.ok()) {
      // No more threads to be had: those there are, or else this one, do the work.
      work.RunAsWorker();
      break;
    }
    workers.push_back(*std::move(worker));
  }
  while (!work.WaitForWorkers(kTick)) {
    if (tick) tick();
  }
  for (std::thread& worker : workers) worker.join();
  if (tick) tick();
  return work.status();
}

}  // namespace farfault
