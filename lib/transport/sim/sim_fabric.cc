#include "lib/transport/sim/sim_fabric.h"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "lib/transport/sim/channels.h"
#include "lib/transport/sim/sim_side.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

class RealClock final : public Clock {
 public:
  Nanos Now() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

class WireClock final : public Clock {
 public:
  explicit WireClock(const std::unique_ptr<sim::TimedWire>& wire) : wire_(wire) {}
  Nanos Now() const override { return wire_->now(); }

 private:
  const std::unique_ptr<sim::TimedWire>& wire_;
};

struct Registry {
  Mutex mutex;
  std::map<std::string, std::weak_ptr<SimFabric>> fabrics ABSL_GUARDED_BY(mutex);
};

Registry& GlobalRegistry() {
  static Registry& registry = *new Registry;
  return registry;
}

// How long a poller may be late before the driver does its work. Far below what a sleeping thread notices, and long
// enough that the driver sleeps while others poll.
constexpr Nanos kGrace = 50'000;
constexpr Nanos kIdleWait = 1'000'000;

}  // namespace

// Moves a wire along that nobody polls: one-sided requests are executed without help from either end.
class SimFabric::Driver {
 public:
  explicit Driver(SimFabric& fabric) : fabric_(fabric), thread_([this] { Run(); }) {}
  ~Driver() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      const Nanos now = fabric_.clock_->Now();
      const Nanos due = fabric_.wire_->next_due();
      if (due != sim::kNever && due + kGrace <= now) fabric_.wire_->Advance(now);
      const Nanos wait = due == sim::kNever ? kIdleWait : std::clamp<Nanos>(due + kGrace - now, kGrace, kIdleWait);
      wake_.wait_for(lock, std::chrono::nanoseconds(wait));
    }
  }

  SimFabric& fabric_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

SimFabric::SimFabric(std::string name, const SimLinkModel& model, bool is_virtual)
    : name_(std::move(name)), model_(model), virtual_(is_virtual) {
  if (is_virtual) {
    clock_ = std::make_unique<WireClock>(wire_);
  } else {
    clock_ = std::make_unique<RealClock>();
  }
  if (!is_virtual && model.instant()) return;
  wire_ = std::make_unique<sim::TimedWire>(model_, memory_, script_);
  if (!is_virtual) driver_ = std::make_unique<Driver>(*this);
}

SimFabric::~SimFabric() { driver_.reset(); }

absl::StatusOr<std::shared_ptr<SimFabric>> SimFabric::Open(const std::string& name, const SimLinkModel* model) {
  Registry& registry = GlobalRegistry();
  const MutexLock lock(&registry.mutex);
  std::weak_ptr<SimFabric>& entry = registry.fabrics[name];
  std::shared_ptr<SimFabric> fabric = entry.lock();
  if (fabric == nullptr) {
    fabric.reset(new SimFabric(name, model == nullptr ? SimLinkModel{} : *model, false));
    entry = fabric;
  } else if (model != nullptr && fabric->model_ != *model) {
    return absl::InvalidArgumentError(
        fmt::format("the sim fabric \"{}\" exists with another latency, bandwidth, jitter or seed: give the same "
                    "everywhere, or only once",
                    name));
  }
  return fabric;
}

std::shared_ptr<SimFabric> SimFabric::CreateVirtual(const SimLinkModel& model) {
  return std::shared_ptr<SimFabric>(new SimFabric("virtual", model, true));
}

std::unique_ptr<Transport> SimFabric::MakeTransport() {
  return std::make_unique<sim::SimSide>(shared_from_this(), domains_.fetch_add(1) + 1);
}

SimFabric::Pair SimFabric::ConnectPair(Transport& first, const ChannelOptions& first_options, Transport& second,
                                       const ChannelOptions& second_options) {
  return ConnectEnds(static_cast<sim::SimSide&>(first).End(first_options),
                     static_cast<sim::SimSide&>(second).End(second_options));
}

SimFabric::Pair SimFabric::ConnectEnds(sim::EndOptions first, sim::EndOptions second) {
  if (wire_ == nullptr) {
    const auto connection =
        std::make_shared<sim::ImmediateConnection>(memory_, script_, *clock_, std::move(first), std::move(second));
    return {std::make_unique<sim::ImmediateChannel>(shared_from_this(), connection, 0),
            std::make_unique<sim::ImmediateChannel>(shared_from_this(), connection, 1)};
  }
  sim::TimedConnection* connection = nullptr;
  {
    const MutexLock lock(&wire_->mutex());
    connection = new sim::TimedConnection(*wire_, connections_.fetch_add(1) + 1, std::move(first), std::move(second));
  }
  return {std::make_unique<sim::TimedChannel>(shared_from_this(), *connection, 0),
          std::make_unique<sim::TimedChannel>(shared_from_this(), *connection, 1)};
}

void SimFabric::AddFault(const SimFault& fault) {
  if (wire_ == nullptr) {
    script_.Add(fault);
  } else {
    wire_->AddFault(fault);
  }
}

void SimFabric::CatchUp() {
  if (!virtual_ && wire_->next_due() <= clock_->Now()) AdvanceToClock();
}

void SimFabric::AdvanceToClock() {
  if (!virtual_) wire_->Advance(clock_->Now());
}

Deadline SimFabric::next_due() const {
  const Nanos due = wire_->next_due();
  // Virtual time does not pass by itself.
  if (due == sim::kNever || virtual_) return Deadline::Never();
  return Deadline::After(absl::Nanoseconds(due - clock_->Now()));
}

}  // namespace farfault
