#include "lib/transport/rails/rail_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "lib/transport/rails/rail_address.h"
#include "lib/transport/rails/rail_channel.h"
#include "lib/transport/rails/rail_listener.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

class RailMemory final : public RegisteredMemory {
 public:
  RailMemory(std::span<std::byte> memory, std::uint32_t key, RailKeyBook& keys,
             std::vector<std::unique_ptr<RegisteredMemory>> on_rails)
      : RegisteredMemory(memory, key, key), keys_(keys), on_rails_(std::move(on_rails)) {}
  ~RailMemory() override {
    // The devices' keys first: who still knows the key meets their refusal.
    on_rails_.clear();
    keys_.Remove(local_key());
  }

 private:
  RailKeyBook& keys_;
  std::vector<std::unique_ptr<RegisteredMemory>> on_rails_;
};

// For people: what a rail goes through its channels tell, and a port that the system is to choose tells nothing.
std::string WithoutChoices(const std::string& address) {
  const std::string base = address.substr(0, address.find('?'));
  return base.ends_with(":0") ? base.substr(0, base.size() - 2) : base;
}

}  // namespace

bool RailTransport::pins_memory() const {
  return std::ranges::any_of(rails_, [](const auto& rail) { return rail->transport->pins_memory(); });
}

absl::StatusOr<std::unique_ptr<RegisteredMemory>> RailTransport::Register(std::span<std::byte> memory,
                                                                          RemoteAccess access) {
  RailKeyBook::Registration keys{.open = access != RemoteAccess::kNone};
  std::vector<std::unique_ptr<RegisteredMemory>> on_rails;
  for (const auto& rail : rails_) {
    absl::StatusOr<std::unique_ptr<RegisteredMemory>> registered = rail->transport->Register(memory, access);
    if (!registered.ok()) return rail->Blame(registered.status());
    keys.local[rail->index] = (*registered)->local_key();
    keys.remote[rail->index] = (*registered)->remote_key();
    on_rails.push_back(*std::move(registered));
  }
  const absl::StatusOr<std::uint32_t> key = keys_.Add(keys);
  if (!key.ok()) return key.status();
  return std::make_unique<RailMemory>(memory, *key, keys_, std::move(on_rails));
}

absl::StatusOr<std::vector<std::string>> RailTransport::Split(std::string_view address) const {
  absl::StatusOr<std::vector<std::string>> split = SplitRails(address);
  if (!split.ok() || split->size() == rails_.size()) return split;
  return absl::InvalidArgumentError(
      fmt::format("'{}' has {} rails and not the {} of its transport", address, split->size(), rails_.size()));
}

absl::StatusOr<std::unique_ptr<Channel>> RailTransport::Connect(std::string_view address,
                                                                const PrivateData& private_data,
                                                                const ChannelOptions& options, Deadline deadline) {
  const absl::StatusOr<std::vector<std::string>> addresses = Split(address);
  if (!addresses.ok()) return addresses.status();
  if (options.rail >= rails_.size()) {
    return absl::InvalidArgumentError(
        fmt::format("there is no rail {}: '{}' has {}", options.rail + 1, address, rails_.size()));
  }
  Rail& rail = *rails_[options.rail];
  absl::StatusOr<std::unique_ptr<Channel>> channel =
      rail.transport->Connect((*addresses)[options.rail], private_data, options, deadline);
  if (!channel.ok()) return rail.Blame(channel.status());
  return std::make_unique<RailChannel>(*std::move(channel), rail, keys_);
}

absl::StatusOr<std::unique_ptr<Listener>> RailTransport::Listen(std::string_view address) {
  const absl::StatusOr<std::vector<std::string>> addresses = Split(address);
  if (!addresses.ok()) return addresses.status();
  std::vector<std::unique_ptr<Listener>> listeners;
  for (const auto& rail : rails_) {
    absl::StatusOr<std::unique_ptr<Listener>> listener = rail->transport->Listen((*addresses)[rail->index]);
    if (!listener.ok()) {
      return absl::Status(listener.status().code(),
                          fmt::format("cannot listen at {}: {}", address, StatusText(rail->Blame(listener.status()))));
    }
    listeners.push_back(*std::move(listener));
  }
  return RailListener::Create(rails_, keys_, std::move(listeners));
}

std::vector<RailTraffic> RailTransport::Traffic() const {
  std::vector<RailTraffic> traffic;
  for (const auto& rail : rails_) {
    traffic.push_back({.address = rail->address,
                       .bytes_read = rail->bytes_read.load(std::memory_order_relaxed),
                       .bytes_written = rail->bytes_written.load(std::memory_order_relaxed)});
  }
  return traffic;
}

std::string RailTransport::Trouble() {
  for (const auto& rail : rails_) {
    const std::string trouble = rail->transport->Trouble();
    if (!trouble.empty()) return fmt::format("{}: {}", rail->name(), trouble);
  }
  return {};
}

absl::StatusOr<std::unique_ptr<Transport>> MakeRailTransport(std::string_view address) {
  const absl::StatusOr<std::vector<std::string>> addresses = SplitRails(address);
  if (!addresses.ok()) return addresses.status();
  std::vector<std::unique_ptr<Rail>> rails;
  for (const std::string& own : *addresses) {
    auto rail = std::make_unique<Rail>();
    rail->index = rails.size();
    rail->count = addresses->size();
    rail->address = WithoutChoices(own);
    absl::StatusOr<std::unique_ptr<Transport>> transport = MakeTransport(own);
    if (!transport.ok()) return rail->Blame(transport.status());
    rail->transport = *std::move(transport);
    rails.push_back(std::move(rail));
  }
  return std::make_unique<RailTransport>(std::move(rails));
}

}  // namespace farfault
