#include "lib/runtime/connection.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/time/clock.h"
#include "lib/runtime/sleeper.h"
#include "lib/util/status_text.h"

namespace farfault {

std::size_t Connection::demand_channels() const {
  return std::min(own_hello.demand_channels, peer_hello.demand_channels);
}
std::size_t Connection::push_channels() const { return std::min(own_hello.push_channels, peer_hello.push_channels); }

std::string Connection::Describe() const {
  if (demand.empty() || push.empty() || demand[0]->path().empty()) return {};
  const ChannelLimits limits = demand[0]->limits();
  return fmt::format("{}, MTU {}, {} READs at once, {} bytes inline, queues for {} demand and {} push requests",
                     demand[0]->path(), limits.mtu, limits.max_outstanding_reads, limits.inline_bytes,
                     limits.send_slots, push[0]->limits().send_slots);
}

void Connection::CountLimits(SessionStats& stats) const {
  if (demand.empty() || push.empty()) return;
  const ChannelLimits limits = demand[0]->limits();
  stats.mtu = limits.mtu;
  stats.reads_at_once = limits.max_outstanding_reads;
  stats.inline_bytes = limits.inline_bytes;
  stats.demand_queue = limits.send_slots;
  stats.push_queue = push[0]->limits().send_slots;
}

absl::StatusOr<std::optional<ControlMessage>> TakeMessage(ControlLink& link, std::string_view what) {
  if (auto message = link.Receive()) {
    if (message->type == MessageType::kFailure) return DecodeFailure(message->payload);
    return message;
  }
  if (link.status().ok()) return std::nullopt;
  return absl::Status(link.status().code(),
                      fmt::format("{} while waiting for the peer's {}", StatusText(link.status()), what));
}

absl::Status CheckType(const ControlMessage& message, MessageType type, std::string_view what) {
  if (message.type == type) return absl::OkStatus();
  return absl::DataLossError(
      fmt::format("the peer sent message {} instead of its {}; is it another version of farfault?",
                  static_cast<int>(message.type), what));
}

absl::Status SilentPeerError(std::string_view what) {
  return absl::DeadlineExceededError(
      fmt::format("the peer is connected but silent: its {} did not come in time; is it a farfault session?", what));
}

absl::StatusOr<ControlMessage> WaitForMessage(ControlLink& link, std::string_view what, absl::Time deadline) {
  Sleeper sleeper;
  sleeper.AddChannel(link.channel());
  for (;;) {
    const auto message = TakeMessage(link, what);
    if (!message.ok()) return message.status();
    if (message->has_value()) return **message;
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return SilentPeerError(what);
    sleeper.Sleep(left);
  }
}

absl::StatusOr<ControlMessage> ExpectMessage(ControlLink& link, MessageType type, std::string_view what,
                                             absl::Time deadline) {
  auto message = WaitForMessage(link, what, deadline);
  if (!message.ok()) return message.status();
  if (absl::Status expected = CheckType(*message, type, what); !expected.ok()) return expected;
  return message;
}

absl::Status FlushLink(ControlLink& link, absl::Time deadline) {
  Sleeper sleeper;
  sleeper.AddChannel(link.channel());
  while (!link.flushed() && link.status().ok() && absl::Now() < deadline) {
    // Anything that comes now is of no interest any more.
    if (link.Receive() || link.flushed() || !link.status().ok()) continue;
    sleeper.Sleep(deadline - absl::Now());
  }
  return link.flushed() ? absl::OkStatus() : absl::UnavailableError("the last message did not reach the peer");
}

}  // namespace farfault
