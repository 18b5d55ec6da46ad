#ifndef FARFAULT_LIB_TRANSPORT_SIM_TIMED_WIRE_H_
#define FARFAULT_LIB_TRANSPORT_SIM_TIMED_WIRE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/transport/sim/buffer_pool.h"
#include "lib/transport/sim/event_heap.h"
#include "lib/transport/sim/fault_script.h"
#include "lib/transport/sim/memory_table.h"
#include "lib/transport/sim/sim_link_model.h"
#include "lib/transport/sim/sim_observer.h"
#include "lib/util/clock.h"
#include "lib/util/mutex.h"
#include "lib/util/splitmix.h"

namespace farfault::sim {

class TimedConnection;

/// Frames of one channel that travel in one direction: the requests of an end, or its answers to the other's.
struct Flow {
  struct Frame {
    std::uint64_t request = 0;  // Number of the request that it belongs to.
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
    bool last = false;
    bool ok = true;              // Answers: the request was executed.
    bool landed_before = false;  // Some of it has landed already.
    Nanos arrival = 0;
    BufferPool::Buffer bytes{};
  };

  TimedConnection* connection = nullptr;
  int side = 0;
  bool answers = false;
  bool sending = false;    // In the link's queue.
  bool scheduled = false;  // An event will look at the first frame.
  bool starved = false;    // A SEND waits for a buffer.
  Nanos last_arrival = 0;
  Nanos stalled_until = 0;
  std::deque<Frame> frames;  // Sent, not dealt with.
};

/// The wire of a fabric with a clock: which frame is sent when, and when it arrives. Everything that the fabric's
/// connections do happens under `mutex()`, driven by Advance.
class TimedWire {
 public:
  TimedWire(const SimLinkModel& model, MemoryTable& memory, FaultScript& script);
  ~TimedWire();

  Mutex& mutex() ABSL_LOCK_RETURNED(mutex_) { return mutex_; }

  /// Does everything that is due up to and including `now`. Cheap when nothing is.
  void Advance(Nanos now);
  /// kNever when nothing is on its way. Any thread.
  Nanos next_due() const { return next_due_.load(std::memory_order_acquire); }

  void Watch(SimObserver* observer) { observer_ = observer; }
  void AddFault(const SimFault& fault);
  /// Changes with everything that happens and when: equal for equal runs. Only between two Advances.
  std::uint64_t trace_hash() const { return trace_hash_; }

  // For the connections.
  struct Link;
  Link* LinkBetween(DomainId from, DomainId to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Adopt(TimedConnection* connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Delete(TimedConnection* connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartSending(Link* link, Flow* flow) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  /// Sees to it that the first frame of the flow is looked at when it has arrived.
  void ScheduleArrival(Flow* flow) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Trace(std::uint64_t value) { trace_hash_ = (trace_hash_ ^ value) * 0x100000001b3u; }

  /// The moment that is being worked on; the last Advance's between two.
  Nanos now() const { return now_; }
  const SimLinkModel& model() const { return model_; }
  MemoryTable& memory() { return memory_; }
  FaultScript& script() { return script_; }
  BufferPool& buffers() { return buffers_; }
  SplitMix64& random() { return random_; }
  SimObserver* observer() const { return observer_; }

 private:
  struct Event {
    enum class Kind : std::uint8_t { kSend, kArrive, kScript };
    Kind kind = Kind::kScript;
    Link* link = nullptr;
    Flow* flow = nullptr;
  };

  void Push(Nanos at, const Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run(const Event& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(Link* link) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunScript() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SimLinkModel model_;
  MemoryTable& memory_;
  FaultScript& script_;
  Mutex mutex_;
  Nanos now_ = 0;
  std::atomic<Nanos> next_due_{kNever};
  EventHeap<Event> events_;
  std::map<std::pair<DomainId, DomainId>, std::unique_ptr<Link>> links_;
  std::vector<TimedConnection*> connections_;
  BufferPool buffers_;
  SplitMix64 random_;
  SimObserver* observer_ = nullptr;
  std::uint64_t trace_hash_ = 0xcbf29ce484222325u;
};

/// One direction between two sides: sends the frames of its flows in turns.
struct TimedWire::Link {
  std::deque<Flow*> queue;
  Nanos busy_until = 0;
  bool scheduled = false;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_TIMED_WIRE_H_
