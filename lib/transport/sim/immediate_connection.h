#ifndef FARFAULT_LIB_TRANSPORT_SIM_IMMEDIATE_CONNECTION_H_
#define FARFAULT_LIB_TRANSPORT_SIM_IMMEDIATE_CONNECTION_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "lib/transport/sim/completion_queue.h"
#include "lib/transport/sim/fault_script.h"
#include "lib/transport/sim/memory_table.h"
#include "lib/transport/sim/receive_ring.h"
#include "lib/transport/sim/sim_channel.h"
#include "lib/transport/transport.h"
#include "lib/util/clock.h"
#include "lib/util/mutex.h"

namespace farfault::sim {

/// A channel on a wire without latency: whoever posts a request executes it, on the spot. Only a SEND that finds no
/// buffer waits, with what was posted behind it, until the other end offers one and executes it. Shared by its two
/// ends.
class ImmediateConnection {
 public:
  ImmediateConnection(MemoryTable& memory, FaultScript& script, const Clock& clock, EndOptions first,
                      EndOptions second);

  const EndOptions& options(int side) const { return ends_[Index(side)].options; }
  CompletionQueue& completions(int side) { return ends_[Index(side)].completions; }

  /// Posts for `side`, whose owner has seen to it that there are slots.
  PostResult Post(int side, std::span<const WorkRequest> chain);
  PostResult PostReceive(int side, const PostedReceive& receive);
  /// Nothing is executed any more when this returns; what was posted completes as flushed.
  void Break(const absl::Status& reason);

  bool broken() const { return broken_.load(std::memory_order_acquire); }
  absl::Status failure() const;

 private:
  enum class Outcome : std::uint8_t { kDone, kNoReceive, kFailed };

  struct End {
    End(EndOptions end_options, MemoryTable& table);

    EndOptions options;
    MemoryTable& memory;
    CompletionQueue completions;
    // Serialises the execution of what this end has posted.
    Mutex execution;
    // A ring: what waits for a receive at the other end, in order.
    std::vector<StoredRequest> waiting ABSL_GUARDED_BY(execution);
    std::size_t waiting_head ABSL_GUARDED_BY(execution) = 0;
    std::size_t waiting_count ABSL_GUARDED_BY(execution) = 0;
    // Since the last signalled one.
    std::uint32_t unsignaled ABSL_GUARDED_BY(execution) = 0;
    std::atomic<bool> starved{false};
    // Filled by this end, emptied by whoever holds the other end's `execution`.
    ReceiveRing receives;
  };

  static std::size_t Index(int side) { return static_cast<std::size_t>(side); }
  Outcome Execute(End& from, End& to, const WorkRequest& request, const std::byte* local)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(from.execution);
  Outcome ExecuteSend(End& from, End& to, const WorkRequest& request, const std::byte* local)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(from.execution) ABSL_SHARED_LOCKS_REQUIRED(from.memory.mutex());
  static void Complete(End& from, const WorkRequest& request, CompletionStatus status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(from.execution);
  Outcome Fail(End& from, const WorkRequest& request, std::string_view what)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(from.execution);
  void ExecuteWaiting(int side);
  /// Comes before the first completion that tells of it: whoever sees a request fail finds the channel broken.
  void MarkBroken(const absl::Status& reason);
  void MarkBroken(const End& from, std::string_view what);
  void Flush();

  MemoryTable& memory_;
  FaultScript& script_;
  const Clock& clock_;
  std::array<End, 2> ends_;
  std::atomic<bool> broken_{false};
  mutable Mutex failure_mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(failure_mutex_);
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_IMMEDIATE_CONNECTION_H_
