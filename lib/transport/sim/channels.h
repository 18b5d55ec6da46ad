#ifndef FARFAULT_LIB_TRANSPORT_SIM_CHANNELS_H_
#define FARFAULT_LIB_TRANSPORT_SIM_CHANNELS_H_

#include <cstdint>
#include <memory>

#include "lib/transport/sim/immediate_connection.h"
#include "lib/transport/sim/sim_fabric.h"
#include "lib/transport/sim/timed_connection.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault::sim {

/// What the ends of both kinds of connection share: slots, completions, sleep.
class EndChannel : public Channel {
 public:
  EndChannel(std::shared_ptr<SimFabric> fabric, CompletionQueue& completions, ChannelLimits limits)
      : fabric_(std::move(fabric)), completions_(completions), limits_(limits) {}

  PostResult Post(std::span<const WorkRequest> chain) final;
  using Channel::Post;
  PostResult PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) final;
  std::size_t Poll(std::span<Completion> out) final;
  WaitHandle wait_handle() const final;
  ChannelLimits limits() const final { return limits_; }

 protected:
  virtual PostResult PostChain(std::span<const WorkRequest> chain) = 0;
  virtual PostResult AddReceive(const PostedReceive& receive) = 0;
  virtual void CatchUp() {}

  SimFabric& fabric() const { return *fabric_; }
  CompletionQueue& completions() const { return completions_; }

 private:
  const std::shared_ptr<SimFabric> fabric_;
  CompletionQueue& completions_;
  const ChannelLimits limits_;
  std::uint32_t sends_in_use_ = 0;
  std::uint32_t receives_in_use_ = 0;
};

class ImmediateChannel final : public EndChannel {
 public:
  ImmediateChannel(std::shared_ptr<SimFabric> fabric, std::shared_ptr<ImmediateConnection> connection, int side);
  ~ImmediateChannel() override { Close(); }

  bool PrepareToSleep() override;
  bool broken() const override { return connection_->broken(); }
  absl::Status failure() const override { return connection_->failure(); }
  void Close() override;

 private:
  PostResult PostChain(std::span<const WorkRequest> chain) override { return connection_->Post(side_, chain); }
  PostResult AddReceive(const PostedReceive& receive) override { return connection_->PostReceive(side_, receive); }

  const std::shared_ptr<ImmediateConnection> connection_;
  const int side_;
};

class TimedChannel final : public EndChannel {
 public:
  /// Takes over one of the connection's references.
  TimedChannel(std::shared_ptr<SimFabric> fabric, TimedConnection& connection, int side);
  ~TimedChannel() override;

  bool PrepareToSleep() override;
  Deadline next_event() const override { return fabric().next_due(); }
  bool broken() const override { return connection_.broken(); }
  absl::Status failure() const override;
  void Close() override;

 private:
  PostResult PostChain(std::span<const WorkRequest> chain) override;
  PostResult AddReceive(const PostedReceive& receive) override;
  void CatchUp() override { fabric().CatchUp(); }

  TimedConnection& connection_;
  const int side_;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_CHANNELS_H_
