#include "lib/transport/sim/sim_side.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

#include "absl/status/status.h"
#include "lib/transport/channel_slots.h"
#include "lib/transport/sim/sim_address.h"
#include "lib/transport/sim/sim_transport.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace sim {
namespace {

class SimIncoming final : public IncomingChannel {
 public:
  SimIncoming(std::shared_ptr<SimFabric> fabric, std::shared_ptr<ConnectionRequests::Request> request, SimSide& side)
      : fabric_(std::move(fabric)), request_(std::move(request)), side_(side) {}
  ~SimIncoming() override { fabric_->requests().Reject(*request_); }

  const PrivateData& private_data() const override { return request_->private_data; }
  std::string peer() const override { return fmt::format("sim side {}", request_->options.domain); }
  absl::StatusOr<std::unique_ptr<Channel>> Accept(const ChannelOptions& options) override {
    if (absl::Status slots = CheckSlots(options); !slots.ok()) return slots;
    SimFabric::Pair pair = fabric_->ConnectEnds(request_->options, side_.End(options));
    if (!fabric_->requests().Answer(*request_, std::move(pair.first))) {
      return absl::UnavailableError("the peer has given up waiting for the connection");
    }
    return std::move(pair.second);
  }

 private:
  const std::shared_ptr<SimFabric> fabric_;
  const std::shared_ptr<ConnectionRequests::Request> request_;
  SimSide& side_;
};

class SimListener final : public Listener {
 public:
  SimListener(std::shared_ptr<SimFabric> fabric, SimAddress address, SimSide& side)
      : fabric_(std::move(fabric)), address_(std::move(address)), side_(side) {}
  ~SimListener() override { Close(); }

  std::string address() const override { return address_.ToString(); }
  absl::StatusOr<std::unique_ptr<IncomingChannel>> Accept(Deadline deadline) override {
    if (closed_.load()) return absl::CancelledError("the listener was closed");
    auto request = fabric_->requests().Next(address_.port, deadline);
    if (!request.ok()) return request.status();
    return std::make_unique<SimIncoming>(fabric_, *std::move(request), side_);
  }
  void Close() override {
    if (!closed_.exchange(true)) fabric_->requests().Close(address_.port);
  }

 private:
  const std::shared_ptr<SimFabric> fabric_;
  const SimAddress address_;
  SimSide& side_;
  std::atomic<bool> closed_{false};
};

}  // namespace

EndOptions SimSide::End(const ChannelOptions& options) const {
  EndOptions end{domain_, options, std::string(options.name)};
  end.channel.name = {};  // Not ours; `name` has a copy.
  return end;
}

absl::StatusOr<SimAddress> SimSide::ParseOwn(std::string_view address) const {
  if (fabric_->is_virtual()) {
    return absl::FailedPreconditionError("a sim fabric with a virtual clock has no listeners: use ConnectPair");
  }
  auto parsed = SimAddress::Parse(address);
  if (parsed.ok() && parsed->fabric != fabric_->name()) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" is on another sim fabric than this side's \"{}\"", address, fabric_->name()));
  }
  return parsed;
}

absl::StatusOr<std::unique_ptr<RegisteredMemory>> SimSide::Register(std::span<std::byte> memory, RemoteAccess access) {
  if (memory.empty()) return absl::InvalidArgumentError("cannot register an empty range of memory");
  std::unique_ptr<RegisteredMemory> registered = fabric_->memory().Register(domain_, memory, access);
  if (registered == nullptr) return absl::ResourceExhaustedError("the sim fabric has no keys left");
  return registered;
}

absl::StatusOr<std::unique_ptr<Channel>> SimSide::Connect(std::string_view address, const PrivateData& private_data,
                                                          const ChannelOptions& options, Deadline deadline) {
  const auto parsed = ParseOwn(address);
  if (!parsed.ok()) return parsed.status();
  if (absl::Status slots = CheckSlots(options); !slots.ok()) return slots;
  if (fabric_->script().active() && fabric_->script().TakeRefusal(options.name, fabric_->clock().Now())) {
    return absl::UnavailableError("the script refused the connection");
  }
  auto request = std::make_shared<ConnectionRequests::Request>();
  request->private_data = private_data;
  request->options = End(options);
  return fabric_->requests().Ask(parsed->port, std::move(request), deadline);
}

absl::StatusOr<std::unique_ptr<Listener>> SimSide::Listen(std::string_view address) {
  auto parsed = ParseOwn(address);
  if (!parsed.ok()) return parsed.status();
  const auto port = fabric_->requests().Open(parsed->port, parsed->any_port);
  if (!port) return absl::AlreadyExistsError(fmt::format("somebody listens at \"{}\" already", address));
  parsed->port = *port;
  return std::make_unique<SimListener>(fabric_, *std::move(parsed), *this);
}

}  // namespace sim

absl::StatusOr<std::unique_ptr<Transport>> MakeSimTransport(std::string_view address) {
  const auto parsed = sim::SimAddress::Parse(address);
  if (!parsed.ok()) return parsed.status();
  auto fabric = SimFabric::Open(parsed->fabric, parsed->model ? &*parsed->model : nullptr);
  if (!fabric.ok()) return fabric.status();
  return (*fabric)->MakeTransport();
}

}  // namespace farfault
