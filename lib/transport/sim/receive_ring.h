#ifndef FARFAULT_LIB_TRANSPORT_SIM_RECEIVE_RING_H_
#define FARFAULT_LIB_TRANSPORT_SIM_RECEIVE_RING_H_

#include <atomic>
#include <cstddef>
#include <vector>

#include "lib/transport/sim/sim_channel.h"

namespace farfault::sim {

/// Buffers that wait for SENDs. One thread adds, one at a time takes. Bounded by its owner.
class ReceiveRing {
 public:
  explicit ReceiveRing(std::size_t capacity) : entries_(capacity) {}

  /// There is room: the owner counts.
  void Add(const PostedReceive& receive) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    entries_[tail % entries_.size()] = receive;
    tail_.store(tail + 1, std::memory_order_seq_cst);
  }

  /// Null when there is none.
  const PostedReceive* front() const {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    return head == tail_.load(std::memory_order_seq_cst) ? nullptr : &entries_[head % entries_.size()];
  }
  void TakeFront() { head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
  std::vector<PostedReceive> entries_;
  std::atomic<std::size_t> head_{0};
  std::atomic<std::size_t> tail_{0};
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_RECEIVE_RING_H_
