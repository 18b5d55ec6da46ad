#ifndef FARFAULT_LIB_TRANSPORT_SIM_FAULT_SCRIPT_H_
#define FARFAULT_LIB_TRANSPORT_SIM_FAULT_SCRIPT_H_

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/transport/sim/sim_link_model.h"
#include "lib/util/mutex.h"

namespace farfault::sim {

/// The scripted faults of a fabric. Costs one load while there are none. Thread-safe.
class FaultScript {
 public:
  void Add(const SimFault& fault);
  bool active() const { return active_.load(std::memory_order_acquire); }

  /// `count` more requests on the channel. True: it is to break now.
  bool OnPost(std::string_view channel, std::uint64_t count, Nanos now);
  /// How much later than usual a frame of the channel is.
  Nanos Delay(std::string_view channel, Nanos now) const;
  /// True: refuse this connection request.
  bool TakeRefusal(std::string_view channel, Nanos now);

 private:
  struct Entry {
    SimFault fault;
    std::uint64_t requests = 0;
    bool spent = false;

    bool Due(std::string_view channel, Nanos now) const {
      return !spent && (fault.channel.empty() || fault.channel == channel) && now >= fault.at &&
             requests >= fault.after_requests;
    }
  };

  mutable Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> active_{false};
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_FAULT_SCRIPT_H_
