#include "lib/runtime/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "lib/runtime/sleeper.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

// What holds for all of them.
ChannelLimits LeastLimits(std::span<const std::unique_ptr<Channel>> channels) {
  ChannelLimits least = channels[0]->limits();
  for (const auto& channel : channels) {
    const ChannelLimits limits = channel->limits();
    least.send_slots = std::min(least.send_slots, limits.send_slots);
    least.max_outstanding_reads = std::min(least.max_outstanding_reads, limits.max_outstanding_reads);
    least.inline_bytes = std::min(least.inline_bytes, limits.inline_bytes);
    least.mtu = std::min(least.mtu, limits.mtu);
  }
  return least;
}

// The first channels are of one rail each.
std::string DescribePaths(std::span<const std::unique_ptr<Channel>> channels, std::size_t rails) {
  if (rails == 1) return channels[0]->path();
  std::string paths;
  for (std::size_t rail = 0; rail < rails; ++rail) {
    paths += fmt::format("{}{}", rail == 0 ? "" : "; ", channels[rail]->path());
  }
  return fmt::format("{} rails ({})", rails, paths);
}

}  // namespace

std::size_t Connection::demand_channels() const {
  return std::min(own_hello.demand_channels, peer_hello.demand_channels);
}
std::size_t Connection::push_channels() const { return std::min(own_hello.push_channels, peer_hello.push_channels); }

std::string Connection::Describe() const {
  if (demand.empty() || push.empty() || demand[0]->path().empty()) return {};
  const ChannelLimits limits = LeastLimits(demand);
  std::string paths = DescribePaths(demand, std::min(std::max<std::size_t>(1, own_hello.rails), demand.size()));
  if (limits.mtu == 0) return paths;
  return fmt::format("{}, MTU {}, {} READs at once, {} bytes inline, queues for {} demand and {} push requests", paths,
                     limits.mtu, limits.max_outstanding_reads, limits.inline_bytes, limits.send_slots,
                     LeastLimits(push).send_slots);
}

void Connection::CountLimits(const Transport& transport, SessionStats& stats) const {
  if (demand.empty() || push.empty()) return;
  const ChannelLimits limits = LeastLimits(demand);
  stats.mtu = limits.mtu;
  stats.reads_at_once = limits.max_outstanding_reads;
  stats.inline_bytes = limits.inline_bytes;
  stats.demand_queue = limits.send_slots;
  stats.push_queue = LeastLimits(push).send_slots;
  for (const RailTraffic& rail : transport.Traffic()) {
    const std::size_t index = stats.rails.size();
    stats.rails.push_back({.path = index < demand.size() ? demand[index]->path() : rail.address,
                           .bytes_read = rail.bytes_read,
                           .bytes_written = rail.bytes_written});
  }
}

absl::StatusOr<std::optional<ControlMessage>> TakeMessage(ControlLink& link, std::string_view what) {
  if (auto message = link.Receive()) {
    if (message->type == MessageType::kFailure) return DecodeFailure(message->payload);
    return message;
  }
  if (link.status().ok()) return std::nullopt;
  return absl::Status(
      link.status().code(),
      fmt::format("{} while waiting for the peer's {}{}", StatusText(link.status()), what,
                  absl::IsUnavailable(link.status()) ? ": see there why it ended, then begin again" : ""));
}

absl::Status CheckType(const ControlMessage& message, MessageType type, std::string_view what) {
  if (message.type == type) return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("the peer sent message {} instead of its {}; is it another version of farfault?",
                  static_cast<int>(message.type), what));
}

absl::Status SilentPeerError(std::string_view what) {
  return absl::DeadlineExceededError(
      fmt::format("the peer is connected but silent: its {} did not come in time; check the address, and see at the "
                  "other end what keeps it",
                  what));
}

absl::StatusOr<ControlMessage> WaitForMessage(ControlLink& link, std::string_view what, Deadline deadline) {
  Sleeper sleeper;
  sleeper.AddChannel(link.channel());
  for (;;) {
    const auto message = TakeMessage(link, what);
    if (!message.ok()) return message.status();
    if (message->has_value()) return **message;
    const absl::Duration left = deadline.Left();
    if (left <= absl::ZeroDuration()) return SilentPeerError(what);
    sleeper.Sleep(left);
  }
}

absl::StatusOr<ControlMessage> ExpectMessage(ControlLink& link, MessageType type, std::string_view what,
                                             Deadline deadline) {
  auto message = WaitForMessage(link, what, deadline);
  if (!message.ok()) return message.status();
  if (absl::Status expected = CheckType(*message, type, what); !expected.ok()) return expected;
  return message;
}

absl::Status FlushLink(ControlLink& link, Deadline deadline) {
  Sleeper sleeper;
  sleeper.AddChannel(link.channel());
  while (!link.flushed() && link.status().ok() && !deadline.Passed()) {
    // Anything that comes now is of no interest any more.
    if (link.Receive() || link.flushed() || !link.status().ok()) continue;
    sleeper.Sleep(deadline.Left());
  }
  return link.flushed() ? absl::OkStatus() : absl::UnavailableError("the last message did not reach the peer");
}

}  // namespace farfault
