#ifndef FARFAULT_LIB_TRANSPORT_SIM_SIM_FABRIC_H_
#define FARFAULT_LIB_TRANSPORT_SIM_SIM_FABRIC_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "lib/transport/sim/connection_requests.h"
#include "lib/transport/sim/fault_script.h"
#include "lib/transport/sim/memory_table.h"
#include "lib/transport/sim/sim_channel.h"
#include "lib/transport/sim/sim_link_model.h"
#include "lib/transport/sim/sim_observer.h"
#include "lib/transport/sim/timed_wire.h"
#include "lib/transport/transport.h"
#include "lib/util/clock.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// An in-process fabric: what all its transports share.
///
/// With a real clock its channels connect through listeners, and any number of threads use it; a link model with
/// latency or a bandwidth delays what happens, otherwise requests are executed where they are posted. With a virtual
/// clock channels come in connected pairs, and nothing happens but in AdvanceTo: the same seed and the same calls,
/// which needs one thread, give the same run. `now` and scripted faults are that thread's.
class SimFabric : public std::enable_shared_from_this<SimFabric> {
 public:
  struct Pair {
    std::unique_ptr<Channel> first;
    std::unique_ptr<Channel> second;
  };

  /// The fabric called `name` in this process, made if there is none. kInvalidArgument when there is one with another
  /// model; no model takes whatever there is.
  static absl::StatusOr<std::shared_ptr<SimFabric>> Open(const std::string& name, const SimLinkModel* model);
  static std::shared_ptr<SimFabric> CreateVirtual(const SimLinkModel& model);

  ~SimFabric();
  SimFabric(const SimFabric&) = delete;
  SimFabric& operator=(const SimFabric&) = delete;

  /// One side's share.
  std::unique_ptr<Transport> MakeTransport();
  /// A channel between two transports of this fabric.
  Pair ConnectPair(Transport& first, const ChannelOptions& first_options, Transport& second,
                   const ChannelOptions& second_options);
  void AddFault(const SimFault& fault);

  // Virtual clock only.
  void AdvanceTo(Nanos now) { wire_->Advance(now); }
  Nanos now() const { return wire_->now(); }
  /// INT64_MAX when nothing is on its way.
  Nanos next_event() const { return wire_->next_due(); }
  void Watch(SimObserver* observer) { wire_->Watch(observer); }
  std::uint64_t trace_hash() const { return wire_->trace_hash(); }

  // For the fabric's transports and channels.
  sim::MemoryTable& memory() { return memory_; }
  sim::ConnectionRequests& requests() { return requests_; }
  sim::FaultScript& script() { return script_; }
  Pair ConnectEnds(sim::EndOptions first, sim::EndOptions second);
  bool is_virtual() const { return virtual_; }
  const std::string& name() const { return name_; }
  const Clock& clock() const { return *clock_; }
  /// Lets a wire with a real clock do what is due; does nothing with a virtual one.
  void CatchUp();
  /// The same, and the wire's idea of now is not older than this call.
  void AdvanceToClock();
  Deadline next_due() const;

 private:
  class Driver;

  SimFabric(std::string name, const SimLinkModel& model, bool is_virtual);

  const std::string name_;
  const SimLinkModel model_;
  const bool virtual_;
  std::unique_ptr<Clock> clock_;
  sim::MemoryTable memory_;
  sim::FaultScript script_;
  sim::ConnectionRequests requests_;
  std::unique_ptr<sim::TimedWire> wire_;  // Null: requests are executed at once.
  std::unique_ptr<Driver> driver_;
  std::atomic<sim::DomainId> domains_{0};
  std::atomic<std::uint64_t> connections_{0};
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_SIM_SIM_FABRIC_H_
