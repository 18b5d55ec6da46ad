#include "lib/runtime/rendezvous.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "lib/push/run_list_receiver.h"
#include "lib/runtime/sleeper.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(20);
constexpr absl::Duration kLongestRetry = absl::Milliseconds(500);
constexpr std::uint32_t kControlSlots = 32;
constexpr std::uint32_t kDemandSlots = 4096;
constexpr std::uint32_t kPushSlots = 1088;  // All run lists of a pusher at their fullest.

bool MayBeStranger(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsDataLoss(status);
}

}  // namespace

std::size_t Connection::demand_channels() const {
  return std::min(own_hello.demand_channels, peer_hello.demand_channels);
}
std::size_t Connection::push_channels() const { return std::min(own_hello.push_channels, peer_hello.push_channels); }

absl::StatusOr<ControlMessage> WaitForMessage(ControlLink& link, std::string_view what, absl::Time deadline) {
  Sleeper sleeper;
  sleeper.AddChannel(link.channel());
  for (;;) {
    if (const auto message = link.Receive()) {
      if (message->type == MessageType::kFailure) return DecodeFailure(message->payload);
      return *message;
    }
    if (!link.status().ok()) {
      return absl::Status(link.status().code(),
                          fmt::format("{} while waiting for the peer's {}", StatusText(link.status()), what));
    }
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(fmt::format(
          "the peer is connected but silent: its {} did not come in time; is it a farfault session?", what));
    }
    sleeper.Sleep(left);
  }
}

absl::StatusOr<ControlMessage> ExpectMessage(ControlLink& link, MessageType type, std::string_view what,
                                             absl::Time deadline) {
  auto message = WaitForMessage(link, what, deadline);
  if (message.ok() && message->type != type) {
    return absl::DataLossError(
        fmt::format("the peer sent message {} instead of its {}; is it another version of farfault?",
                    static_cast<int>(message->type), what));
  }
  return message;
}

absl::Status FlushLink(ControlLink& link, absl::Time deadline) {
  Sleeper sleeper;
  sleeper.AddChannel(link.channel());
  while (!link.flushed() && link.status().ok() && absl::Now() < deadline) {
    // Anything that comes now is of no interest any more.
    while (link.Receive()) {
    }
    if (!link.flushed() && link.status().ok()) sleeper.Sleep(deadline - absl::Now());
  }
  return link.flushed() ? absl::OkStatus() : absl::UnavailableError("the last message did not reach the peer");
}

absl::StatusOr<std::unique_ptr<Rendezvous>> Rendezvous::Create(Role role, const SessionOptions& options,
                                                               EventSink& events) {
  auto transport = MakeTransport(options.listen.empty() ? options.connect : options.listen);
  if (!transport.ok()) return transport.status();
  std::unique_ptr<Listener> listener;
  if (!options.listen.empty()) {
    auto made = (*transport)->Listen(options.listen);
    if (!made.ok()) return made.status();
    listener = *std::move(made);
    events.Send(EventKind::kListening, listener->address());
  }
  return std::unique_ptr<Rendezvous>(new Rendezvous(role, options, events, *std::move(transport), std::move(listener)));
}

absl::StatusOr<Connection> Rendezvous::Meet(absl::FunctionRef<absl::StatusOr<Agreement>(Connection&)> agree) {
  absl::Time deadline = absl::Now() + options_.peer_timeout;
  absl::Status last_failure;
  for (;;) {
    auto control = listening() ? AcceptControl(deadline) : ConnectControl(deadline);
    if (!control.ok()) {
      if (last_failure.ok()) return control.status();
      return absl::Status(last_failure.code(), fmt::format("{}; the last peer that tried: {}",
                                                           StatusText(control.status()), StatusText(last_failure)));
    }
    auto connection = Wrap(*std::move(control));
    if (!connection.ok()) return connection.status();
    absl::Status status = Authenticate(*connection);
    const bool authenticated = status.ok();
    if (authenticated) {
      const absl::StatusOr<Agreement> agreement = agree(*connection);
      if (agreement.ok() && *agreement == Agreement::kEnough) return connection;
      if (agreement.ok() && *agreement == Agreement::kPeerLeft) {
        deadline = absl::Now() + options_.peer_timeout;
        continue;
      }
      status = agreement.ok() ? OpenDataChannels(*connection) : agreement.status();
    }
    if (status.ok()) {
      events_.Send(EventKind::kConnected);
      return connection;
    }
    connection->link->SendFailure(status);
    FlushLink(*connection->link, absl::Now() + absl::Seconds(1)).IgnoreError();
    if (!listening() || (authenticated && !MayBeStranger(status))) return status;
    last_failure = status;
    events_.Send(EventKind::kHint,
                 fmt::format("a peer came and failed: {}; waiting for the next one", StatusText(status)));
  }
}

absl::StatusOr<std::unique_ptr<Channel>> Rendezvous::ConnectControl(absl::Time deadline) {
  const ChannelOptions channel{
      .service = Service::kPolled, .send_slots = kControlSlots, .receive_slots = kControlSlots, .name = "control"};
  const PrivateData ticket = EncodeTicket(ChannelTicket{});
  absl::Duration pause = kFirstRetry;
  for (bool told = false;; told = true) {
    auto connected = transport_->Connect(options_.connect, ticket, channel, deadline);
    if (connected.ok() || !absl::IsUnavailable(connected.status())) return connected;
    if (absl::Now() + pause >= deadline) {
      return absl::UnavailableError(fmt::format("{}; gave up after {} (start the other end, or raise peer_timeout)",
                                                StatusText(connected.status()),
                                                absl::FormatDuration(options_.peer_timeout)));
    }
    if (!told) events_.Send(EventKind::kWaitingForPeer, options_.connect);
    absl::SleepFor(pause);
    pause = std::min(2 * pause, kLongestRetry);
  }
}

absl::StatusOr<std::unique_ptr<Channel>> Rendezvous::AcceptControl(absl::Time deadline) {
  const ChannelOptions channel{
      .service = Service::kPolled, .send_slots = kControlSlots, .receive_slots = kControlSlots, .name = "control"};
  for (;;) {
    auto incoming = listener_->Accept(deadline);
    if (absl::IsDeadlineExceeded(incoming.status())) {
      return absl::DeadlineExceededError(
          fmt::format("nobody connected to {} within {} (start the other end, or raise "
                      "peer_timeout)",
                      listener_->address(), absl::FormatDuration(options_.peer_timeout)));
    }
    if (!incoming.ok()) return incoming.status();
    const std::optional<ChannelTicket> ticket = DecodeTicket((*incoming)->private_data());
    // Anything else is rejected by letting go of it: data channels of a session that failed, or strangers.
    if (!ticket || ticket->kind != ChannelKind::kControl) continue;
    auto accepted = (*incoming)->Accept(channel);
    if (accepted.ok()) return accepted;
  }
}

absl::StatusOr<Connection> Rendezvous::Wrap(std::unique_ptr<Channel> control) {
  auto buffers = RegisteredBuffer::Create(*transport_, ControlLink::kBufferBytes, RemoteAccess::kNone);
  if (!buffers.ok()) return buffers.status();
  auto hello = MakeHello(role_, options_.demand_channels, options_.push_channels);
  if (!hello.ok()) return hello.status();
  Connection connection;
  connection.control_buffers = *std::move(buffers);
  connection.control = std::move(control);
  connection.own_hello = *hello;
  connection.link = std::make_unique<ControlLink>(*connection.control, connection.control_buffers.bytes(),
                                                  connection.control_buffers.local_key());
  return connection;
}

absl::Status Rendezvous::Authenticate(Connection& connection) {
  const absl::Time deadline = absl::Now() + options_.handshake_timeout;
  ControlLink& link = *connection.link;
  link.SendStruct(MessageType::kHello, connection.own_hello);
  const auto hello = ExpectMessage(link, MessageType::kHello, "greeting", deadline);
  if (!hello.ok()) return hello.status();
  const auto peer = hello->As<HelloMessage>();
  if (!peer) return absl::DataLossError("the peer's greeting has another size than this version's");
  if (absl::Status status = CheckHello(role_, *peer); !status.ok()) return status;
  connection.peer_hello = *peer;

  const HelloMessage& source = role_ == Role::kSource ? connection.own_hello : *peer;
  const HelloMessage& destination = role_ == Role::kSource ? *peer : connection.own_hello;
  const Role other = role_ == Role::kSource ? Role::kDestination : Role::kSource;
  link.SendStruct(MessageType::kProof, MakeProof(options_.pre_shared_key, role_, source, destination));
  const auto proof = ExpectMessage(link, MessageType::kProof, "proof that it knows the key", deadline);
  if (!proof.ok()) return proof.status();
  const auto mac = proof->As<ProofMessage>();
  if (!mac || !SameProof(*mac, MakeProof(options_.pre_shared_key, other, source, destination))) {
    return absl::UnauthenticatedError("the two ends have different keys; give both the same pre-shared key");
  }
  return absl::OkStatus();
}

ChannelOptions Rendezvous::DataOptions(ChannelKind kind) const {
  // Whoever is reached by one-sided requests that must not wait for its own thread gets a serving thread.
  if (kind == ChannelKind::kDemand) {
    return {.service = role_ == Role::kSource ? Service::kThread : Service::kPolled,
            .urgent = true,
            .send_slots = kDemandSlots,
            .receive_slots = 1,
            .name = "demand"};
  }
  return {.service = role_ == Role::kSource ? Service::kPolled : Service::kThread,
          .send_slots = kPushSlots,
          .receive_slots = RunListReceiver::kReceivesPerChannel,
          .name = "push"};
}

absl::StatusOr<std::unique_ptr<Channel>> Rendezvous::OpenDataChannel(const ChannelTicket& ticket, absl::Time deadline) {
  return transport_->Connect(options_.connect, EncodeTicket(ticket), DataOptions(ticket.kind), deadline);
}

absl::StatusOr<std::unique_ptr<Channel>> Rendezvous::AcceptDataChannel(const ChannelTicket& expected,
                                                                       absl::Time deadline) {
  for (;;) {
    auto incoming = listener_->Accept(deadline);
    if (absl::IsDeadlineExceeded(incoming.status())) {
      return absl::DeadlineExceededError("the peer is authenticated but did not open its data channels in time");
    }
    if (!incoming.ok()) return incoming.status();
    const std::optional<ChannelTicket> ticket = DecodeTicket((*incoming)->private_data());
    if (ticket && ticket->kind == expected.kind && ticket->index == expected.index && ticket->token == expected.token) {
      return (*incoming)->Accept(DataOptions(expected.kind));
    }
  }
}

absl::Status Rendezvous::OpenDataChannels(Connection& connection) {
  const absl::Time deadline = absl::Now() + options_.handshake_timeout;
  const bool source = role_ == Role::kSource;
  ChannelTicket ticket;
  ticket.token = MakeToken(options_.pre_shared_key, source ? connection.own_hello : connection.peer_hello,
                           source ? connection.peer_hello : connection.own_hello);
  const auto open = [&](ChannelKind kind, std::size_t count, std::vector<std::unique_ptr<Channel>>& channels) {
    ticket.kind = kind;
    for (std::size_t i = 0; i < count; ++i) {
      ticket.index = static_cast<std::uint8_t>(i);
      auto channel = listening() ? AcceptDataChannel(ticket, deadline) : OpenDataChannel(ticket, deadline);
      if (!channel.ok()) return channel.status();
      channels.push_back(*std::move(channel));
    }
    return absl::OkStatus();
  };
  absl::Status status = open(ChannelKind::kDemand, connection.demand_channels(), connection.demand);
  if (status.ok()) status = open(ChannelKind::kPush, connection.push_channels(), connection.push);
  return status;
}

}  // namespace farfault
