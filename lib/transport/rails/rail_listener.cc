#include "lib/transport/rails/rail_listener.h"

#include <fmt/format.h>

#include <utility>

#include "lib/transport/rails/rail_address.h"
#include "lib/transport/rails/rail_channel.h"
#include "lib/util/deadline.h"
#include "lib/util/start_thread.h"

namespace farfault {
namespace {

class RailIncomingChannel final : public IncomingChannel {
 public:
  RailIncomingChannel(std::unique_ptr<IncomingChannel> incoming, Rail& rail, const RailKeyBook& keys)
      : incoming_(std::move(incoming)), rail_(rail), keys_(keys) {}

  const PrivateData& private_data() const override { return incoming_->private_data(); }
  std::string peer() const override { return incoming_->peer(); }
  std::size_t rail() const override { return rail_.index; }
  absl::StatusOr<std::unique_ptr<Channel>> Accept(const ChannelOptions& options) override {
    absl::StatusOr<std::unique_ptr<Channel>> channel = incoming_->Accept(options);
    if (!channel.ok()) return rail_.Blame(channel.status());
    return std::make_unique<RailChannel>(*std::move(channel), rail_, keys_);
  }

 private:
  const std::unique_ptr<IncomingChannel> incoming_;
  Rail& rail_;
  const RailKeyBook& keys_;
};

std::string AddressOf(std::span<const std::unique_ptr<Listener>> listeners) {
  std::vector<std::string> addresses;
  for (const auto& listener : listeners) addresses.push_back(listener->address());
  return JoinRails(addresses);
}

}  // namespace

RailListener::RailListener(std::span<const std::unique_ptr<Rail>> rails, const RailKeyBook& keys,
                           std::vector<std::unique_ptr<Listener>> listeners)
    : rails_(rails),
      keys_(keys),
      listeners_(std::move(listeners)),
      address_(AddressOf(listeners_)),
      waiting_(rails.size()) {}

absl::StatusOr<std::unique_ptr<Listener>> RailListener::Create(std::span<const std::unique_ptr<Rail>> rails,
                                                               const RailKeyBook& keys,
                                                               std::vector<std::unique_ptr<Listener>> listeners) {
  std::unique_ptr<RailListener> listener(new RailListener(rails, keys, std::move(listeners)));
  if (absl::Status started = listener->Start(); !started.ok()) return started;
  return listener;
}

absl::Status RailListener::Start() {
  for (std::size_t rail = 0; rail < rails_.size(); ++rail) {
    absl::StatusOr<std::thread> thread =
        StartThread(fmt::format("ff-rail-{}", rail + 1), [this, rail] { Listen(rail); });
    if (!thread.ok()) return thread.status();
    threads_.push_back(*std::move(thread));
  }
  return absl::OkStatus();
}

RailListener::~RailListener() {
  RailListener::Close();
  for (std::thread& thread : threads_) thread.join();
}

void RailListener::Listen(std::size_t rail) {
  for (;;) {
    absl::StatusOr<std::unique_ptr<IncomingChannel>> incoming = listeners_[rail]->Accept(Deadline::Never());
    const MutexLock lock(&mutex_);
    // Whoever closes drops what has arrived by then.
    if (closed_) return;
    arrived_.push_back({rail, std::move(incoming)});
    waiting_[rail] = true;
    changed_.NotifyAll();
    changed_.WaitUntil(&mutex_, Deadline::Never(),
                       [this, rail]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return closed_ || !waiting_[rail]; });
    if (closed_) return;
  }
}

absl::StatusOr<std::unique_ptr<IncomingChannel>> RailListener::Accept(Deadline deadline) {
  const MutexLock lock(&mutex_);
  const bool ready = changed_.WaitUntil(
      &mutex_, deadline, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return closed_ || !arrived_.empty(); });
  if (closed_) return absl::CancelledError(fmt::format("the listener at {} was closed", address_));
  if (!ready) return absl::DeadlineExceededError(fmt::format("nobody connected to {} in time", address_));
  Arrival arrival = std::move(arrived_.front());
  arrived_.pop_front();
  waiting_[arrival.rail] = false;
  changed_.NotifyAll();
  Rail& rail = *rails_[arrival.rail];
  if (!arrival.incoming.ok()) return rail.Blame(arrival.incoming.status());
  return std::make_unique<RailIncomingChannel>(*std::move(arrival.incoming), rail, keys_);
}

void RailListener::Close() {
  std::deque<Arrival> dropped;
  {
    const MutexLock lock(&mutex_);
    closed_ = true;
    dropped = std::move(arrived_);
    arrived_.clear();
    changed_.NotifyAll();
  }
  for (const auto& listener : listeners_) listener->Close();
}

}  // namespace farfault
