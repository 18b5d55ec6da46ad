#include "lib/transport/sim/completion_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

namespace farfault::sim {

CompletionQueue::CompletionQueue(std::size_t capacity) : entries_(capacity) {}

CompletionQueue::~CompletionQueue() {
  const int fd = fd_.load(std::memory_order_relaxed);
  if (fd >= 0) close(fd);
}

void CompletionQueue::Push(const Completion& completion, std::uint32_t retired) {
  {
    const MutexLock lock(&mutex_);
    const std::size_t count = count_.load(std::memory_order_relaxed);
    assert(count < entries_.size());
    entries_[(head_ + count) % entries_.size()] = {completion, retired};
    count_.store(count + 1, std::memory_order_seq_cst);
  }
  Wake();
}

std::size_t CompletionQueue::Pop(std::span<Completion> out, std::uint32_t& retired) {
  if (signalled_.load(std::memory_order_acquire)) DrainWakeUps();
  if (empty()) return 0;
  const MutexLock lock(&mutex_);
  const std::size_t count = count_.load(std::memory_order_relaxed);
  const std::size_t taken = std::min(count, out.size());
  for (std::size_t i = 0; i < taken; ++i) {
    const Entry& entry = entries_[head_];
    out[i] = entry.completion;
    retired += entry.retired;
    head_ = (head_ + 1) % entries_.size();
  }
  count_.store(count - taken, std::memory_order_release);
  return taken;
}

bool CompletionQueue::PrepareToSleep() {
  if (wait_fd() < 0) return false;
  armed_.store(true, std::memory_order_seq_cst);
  // Either this load sees what was pushed, or the pusher sees that the owner is about to sleep.
  if (count_.load(std::memory_order_seq_cst) == 0) return true;
  armed_.store(false, std::memory_order_relaxed);
  return false;
}

void CompletionQueue::Wake() {
  if (!armed_.load(std::memory_order_seq_cst) || !armed_.exchange(false, std::memory_order_acq_rel)) return;
  const int fd = fd_.load(std::memory_order_acquire);
  if (fd < 0) return;
  // The counter of an eventfd that is drained at every wake-up is never full. The mark comes second: an owner that is
  // faster wakes once more for nothing.
  if (eventfd_write(fd, 1) == 0) signalled_.store(true, std::memory_order_release);
}

void CompletionQueue::DrainWakeUps() {
  signalled_.store(false, std::memory_order_relaxed);
  eventfd_t count = 0;
  // Nothing to read: an earlier drain took two wake-ups at once.
  static_cast<void>(eventfd_read(fd_.load(std::memory_order_relaxed), &count));
}

int CompletionQueue::wait_fd() {
  int fd = fd_.load(std::memory_order_relaxed);
  if (fd < 0) {
    fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fd_.store(fd, std::memory_order_release);
  }
  return fd;
}

}  // namespace farfault::sim
