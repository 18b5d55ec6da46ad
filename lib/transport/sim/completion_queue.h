#ifndef FARFAULT_LIB_TRANSPORT_SIM_COMPLETION_QUEUE_H_
#define FARFAULT_LIB_TRANSPORT_SIM_COMPLETION_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/transport/transport.h"
#include "lib/util/mutex.h"

namespace farfault::sim {

/// What one end of a channel has yet to be told. Push from any thread; the rest is the owner's. An empty queue costs
/// its owner one load; the wake-up descriptor is touched only for an owner that said it would sleep.
class CompletionQueue {
 public:
  explicit CompletionQueue(std::size_t capacity);
  ~CompletionQueue();
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;

  /// `retired`: send slots that come free with this completion. There is room: slots bound the number of completions.
  void Push(const Completion& completion, std::uint32_t retired);
  std::size_t Pop(std::span<Completion> out, std::uint32_t& retired);
  bool empty() const { return count_.load(std::memory_order_acquire) == 0; }

  /// False: something is there already.
  bool PrepareToSleep();
  void Wake();
  /// Made at the first call; -1 when the process has no descriptors left. Owner only.
  int wait_fd();

 private:
  struct Entry {
    Completion completion;
    std::uint32_t retired = 0;
  };

  void DrainWakeUps();

  Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::size_t head_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<std::size_t> count_{0};
  std::atomic<bool> armed_{false};
  std::atomic<bool> signalled_{false};
  std::atomic<int> fd_{-1};
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_COMPLETION_QUEUE_H_
