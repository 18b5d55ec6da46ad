#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "lib/push/run_list_receiver.h"
#include "lib/runtime/rendezvous.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

// The channels that follow once the two ends have met.
namespace farfault {
namespace {

constexpr absl::Duration kPeerCheck = absl::Milliseconds(20);
constexpr std::uint32_t kDemandSlots = 4096;
constexpr std::uint32_t kPushSlots = 1088;  // All run lists of a pusher at their fullest.
static_assert(kMaxRails <= kMaxPushChannels);

// A peer that has hung up may have said why before that.
absl::Status LastWords(ControlLink& link) {
  while (const std::optional<ControlMessage> message = link.Receive()) {
    if (message->type == MessageType::kFailure) return DecodeFailure(message->payload);
  }
  return absl::OkStatus();
}

// Of a peer that goes on to say why it refuses, or that has left since it answered.
absl::Status WithReason(ControlLink& link, const absl::Status& refusal, absl::Duration farewell) {
  if (absl::IsUnavailable(refusal)) {
    const absl::Status words = LastWords(link);
    return absl::UnavailableError(
        fmt::format("{}{}; should the peer have ended since it answered, see there why, then begin again",
                    StatusText(refusal), Because(words)));
  }
  if (!absl::IsPermissionDenied(refusal)) return refusal;
  const auto reason = WaitForMessage(link, "reason", Deadline::After(farewell));
  const bool tells = absl::IsFailedPrecondition(reason.status()) || absl::IsUnavailable(reason.status());
  return tells ? reason.status() : refusal;
}

}  // namespace

ChannelOptions Rendezvous::DataOptions(ChannelKind kind) const {
  // Whoever is reached by one-sided requests that must not wait for its own thread gets a serving thread.
  if (kind == ChannelKind::kDemand) {
    return {.service = role_ == Role::kSource ? Service::kThread : Service::kPolled,
            .urgent = true,
            .spin = spin_,
            .send_slots = kDemandSlots,
            .receive_slots = 1,
            .name = "demand"};
  }
  return {.service = role_ == Role::kSource ? Service::kPolled : Service::kThread,
          .spin = spin_,
          .send_slots = kPushSlots,
          .receive_slots = RunListReceiver::kReceivesPerChannel,
          .name = "push"};
}

absl::StatusOr<std::unique_ptr<Channel>> Rendezvous::OpenDataChannel(const ChannelTicket& ticket, Deadline deadline) {
  ChannelOptions options = DataOptions(ticket.kind);
  options.rail = RailOf(ticket);
  return transport_->Connect(options_.connect, EncodeTicket(ticket), options, deadline);
}

// Others may knock meanwhile: they are let in as candidates, in case this peer turns out to be gone.
absl::StatusOr<std::unique_ptr<Channel>> Rendezvous::AcceptDataChannel(ControlLink& link, const ChannelTicket& expected,
                                                                       Deadline deadline) {
  while (!deadline.Passed()) {
    if (!link.StillConnected()) {
      return absl::UnavailableError("the peer left before it had opened its data channels" + Because(LastWords(link)));
    }
    auto incoming = listener_->Accept(std::min(deadline, Deadline::After(kPeerCheck)));
    if (absl::IsDeadlineExceeded(incoming.status())) continue;
    if (!incoming.ok()) return incoming.status();
    const std::optional<ChannelTicket> ticket = DecodeTicket((*incoming)->private_data());
    if (ticket && ticket->kind == expected.kind && ticket->index == expected.index && ticket->token == expected.token) {
      const std::size_t rail = (*incoming)->rail();
      if (rail != RailOf(expected)) return WrongRail(rail, RailOf(expected));
      return (*incoming)->Accept(DataOptions(expected.kind));
    }
    if (const auto admitted = Admit(**incoming); !admitted.ok()) return admitted.status();
  }
  return absl::DeadlineExceededError("the peer is authenticated but did not open its data channels in time");
}

absl::Status Rendezvous::OpenDataChannels(Connection& connection) {
  const Deadline deadline = Deadline::After(options_.handshake_timeout);
  const bool source = role_ == Role::kSource;
  ChannelTicket ticket;
  ticket.token = MakeToken(options_.pre_shared_key, source ? connection.own_hello : connection.peer_hello,
                           source ? connection.peer_hello : connection.own_hello);
  const auto open = [&](ChannelKind kind, std::size_t count, std::vector<std::unique_ptr<Channel>>& channels) {
    ticket.kind = kind;
    for (std::size_t i = 0; i < count; ++i) {
      ticket.index = static_cast<std::uint8_t>(i);
      auto channel =
          listening() ? AcceptDataChannel(*connection.link, ticket, deadline) : OpenDataChannel(ticket, deadline);
      if (!channel.ok())
        return listening() ? channel.status() : WithReason(*connection.link, channel.status(), kFarewell);
      channels.push_back(*std::move(channel));
    }
    return absl::OkStatus();
  };
  absl::Status status = open(ChannelKind::kDemand, connection.demand_channels(), connection.demand);
  if (status.ok()) status = open(ChannelKind::kPush, connection.push_channels(), connection.push);
  return status;
}

}  // namespace farfault
