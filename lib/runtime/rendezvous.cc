#include "lib/runtime/rendezvous.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "lib/push/run_list_receiver.h"
#include "lib/runtime/sleeper.h"
#include "lib/transport/connect_error.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(20);
constexpr absl::Duration kLongestRetry = absl::Milliseconds(500);
// How often the listener is left to see what candidates have said, while there are any.
constexpr absl::Duration kLookAround = absl::Milliseconds(2);
constexpr absl::Duration kTroubleCheck = absl::Seconds(1);
constexpr std::size_t kMostCandidates = 64;
constexpr std::uint32_t kControlSlots = 32;
constexpr ChannelOptions kControlChannel{
    .service = Service::kPolled, .send_slots = kControlSlots, .receive_slots = kControlSlots, .name = "control"};
constexpr std::size_t kMostAttemptsTold = 32;

bool MayHaveVanished(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsDataLoss(status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Rendezvous>> Rendezvous::Create(Role role, const SessionOptions& options, bool spin,
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
  return std::unique_ptr<Rendezvous>(
      new Rendezvous(role, options, spin, events, *std::move(transport), std::move(listener)));
}

absl::StatusOr<Connection> Rendezvous::Meet(absl::FunctionRef<absl::StatusOr<Agreement>(Connection&)> agree) {
  Deadline deadline = Deadline::After(options_.peer_timeout);
  for (;;) {
    auto connection = listening() ? AcceptPeer(deadline) : ConnectPeer(deadline);
    if (!connection.ok()) return connection.status();
    connection->link->ShareKeys(transport_->key_exchange());
    const absl::StatusOr<Agreement> agreement = agree(*connection);
    if (agreement.ok() && *agreement == Agreement::kEnough) return connection;
    if (agreement.ok() && *agreement == Agreement::kPeerLeft) {
      deadline = Deadline::After(options_.peer_timeout);
      continue;
    }
    absl::Status status = agreement.ok() ? OpenDataChannels(*connection) : agreement.status();
    if (status.ok()) {
      events_.Send(EventKind::kConnected, connection->Describe());
      return connection;
    }
    connection->link->SendFailure(status);
    FlushLink(*connection->link, Deadline::After(kFarewell)).IgnoreError();
    if (!listening() || !MayHaveVanished(status)) return status;
    HintAtFailure(status);
  }
}

void Rendezvous::HintAtFailure(const absl::Status& failure) {
  last_failure_ = failure;
  events_.Send(EventKind::kHint,
               fmt::format("a peer came and failed: {}; waiting for the next one", StatusText(failure)));
}

void Rendezvous::HintAtTrouble() {
  if (events_.has_listener()) events_.HintAtTrouble(transport_->Trouble());
}

// Otherwise nobody would learn that waiting is in vain. What fails in turns is told once each.
void Rendezvous::HintAtAttempt(const absl::Status& failure) {
  if (!events_.has_listener()) return;
  std::string trouble = transport_->Trouble();
  // When something is wrong at this end, that is why.
  const bool own_fault = !trouble.empty();
  events_.HintAtTrouble(std::move(trouble));
  if (own_fault || IsNobodyListens(failure)) return;
  const std::string text(StatusText(failure));
  // A stranger could think of ever new ones.
  if (attempts_told_.size() == kMostAttemptsTold) return;
  if (attempts_told_.insert(text).second) events_.Send(EventKind::kHint, text + "; trying again");
}

absl::StatusOr<Connection> Rendezvous::ConnectPeer(Deadline deadline) {
  auto control = ConnectControl(deadline);
  if (!control.ok()) return control.status();
  auto connection = Wrap(*std::move(control));
  if (!connection.ok()) return connection.status();
  Candidate peer(role_, options_.pre_shared_key, *std::move(connection), Deadline::After(options_.handshake_timeout));
  Sleeper sleeper;
  sleeper.AddChannel(peer.channel());
  for (;;) {
    const Candidate::State state = peer.Poll();
    if (state == Candidate::State::kAuthenticated) return peer.Release();
    if (state == Candidate::State::kGone) return peer.failure();
    sleeper.Sleep(kLookAround);
  }
}

absl::StatusOr<Connection> Rendezvous::AcceptPeer(Deadline deadline) {
  for (;;) {
    if (const std::unique_ptr<Candidate> peer = PollCandidates()) return peer->Release();
    if (deadline.Passed()) {
      if (candidates_.empty()) return NobodyCame();
      // Who came in time may still prove itself, which takes the handshake's timeout at most; nobody else is let in.
      absl::SleepFor(kLookAround);
      continue;
    }
    if (guest_gone()) return GuestProcess::Gone();
    HintAtTrouble();
    absl::Status accepted =
        AcceptControl(std::min(deadline, Deadline::After(candidates_.empty() ? kTroubleCheck : kLookAround)));
    if (!accepted.ok() && !absl::IsDeadlineExceeded(accepted)) return accepted;
  }
}

absl::Status Rendezvous::NobodyCame() const {
  const std::string nobody =
      fmt::format("nobody connected to {} within {} (start the other end, or raise peer_timeout)", listener_->address(),
                  absl::FormatDuration(options_.peer_timeout));
  if (last_failure_.ok()) return absl::DeadlineExceededError(nobody);
  return absl::Status(last_failure_.code(),
                      fmt::format("{}; the last peer that tried: {}", nobody, StatusText(last_failure_)));
}

absl::Status Rendezvous::WrongRail(std::size_t rail, std::size_t right) const {
  return absl::FailedPreconditionError(fmt::format(
      "what belongs to rail {} came in on rail {} of {}: have the other end connect to the same rails in the "
      "same order, {}",
      right + 1, rail + 1, transport_->rails(), listener_->address()));
}

absl::Status Rendezvous::AddCandidate(std::unique_ptr<Channel> control, std::size_t rail) {
  if (candidates_.size() == kMostCandidates) candidates_.erase(candidates_.begin());
  auto connection = Wrap(std::move(control));
  if (absl::IsResourceExhausted(connection.status()) && !candidates_.empty()) {
    // Too many at once, perhaps all of them strangers: the one that has had the most time makes room, and this one,
    // which is turned away, may come again.
    candidates_.erase(candidates_.begin());
    HintAtFailure(connection.status());
    return absl::OkStatus();
  }
  if (!connection.ok()) return connection.status();
  candidates_.push_back(std::make_unique<Candidate>(role_, options_.pre_shared_key, *std::move(connection),
                                                    Deadline::After(options_.handshake_timeout)));
  if (rail == 0) return absl::OkStatus();
  candidates_.back()->Dismiss(WrongRail(rail, 0));
  HintAtFailure(candidates_.back()->failure());
  return absl::OkStatus();
}

// The first candidate that has proved itself, if any.
std::unique_ptr<Candidate> Rendezvous::PollCandidates() {
  for (std::unique_ptr<Candidate>& candidate : candidates_) {
    const bool had_failed = !candidate->failure().ok();
    const Candidate::State state = candidate->Poll();
    if (!had_failed && !candidate->failure().ok()) HintAtFailure(candidate->failure());
    if (state == Candidate::State::kAuthenticated) {
      std::unique_ptr<Candidate> peer = std::move(candidate);
      std::erase(candidates_, nullptr);
      return peer;
    }
    if (state == Candidate::State::kGone) candidate.reset();
  }
  std::erase(candidates_, nullptr);
  return nullptr;
}

absl::StatusOr<std::unique_ptr<Channel>> Rendezvous::ConnectControl(Deadline deadline) {
  const PrivateData ticket = EncodeTicket(ChannelTicket{});
  absl::Duration pause = kFirstRetry;
  for (bool told = false;; told = true) {
    // An attempt that nobody answers must not take all of the time: a hint may be due, and another may succeed.
    auto connected = transport_->Connect(options_.connect, ticket, kControlChannel,
                                         std::min(deadline, Deadline::After(options_.handshake_timeout)));
    if (connected.ok() || !(absl::IsUnavailable(connected.status()) || absl::IsDeadlineExceeded(connected.status()))) {
      return connected;
    }
    if (deadline.Left() <= pause) {
      return absl::Status(connected.status().code(),
                          fmt::format("{}; gave up after {} (start the other end, or raise peer_timeout)",
                                      StatusText(connected.status()), absl::FormatDuration(options_.peer_timeout)));
    }
    if (guest_gone()) return GuestProcess::Gone();
    if (!told) events_.Send(EventKind::kWaitingForPeer, options_.connect);
    HintAtAttempt(connected.status());
    absl::SleepFor(pause);
    pause = std::min(2 * pause, kLongestRetry);
  }
}

absl::Status Rendezvous::AcceptControl(Deadline deadline) {
  do {
    auto incoming = listener_->Accept(deadline);
    if (!incoming.ok()) return incoming.status();
    const auto admitted = Admit(**incoming);
    if (!admitted.ok() || *admitted) return admitted.status();
  } while (!deadline.Passed());
  return absl::DeadlineExceededError("no peer came in time");
}

// Anything else is rejected by letting go of it: data channels of a session that failed, or strangers.
absl::StatusOr<bool> Rendezvous::Admit(IncomingChannel& incoming) {
  const std::optional<ChannelTicket> ticket = DecodeTicket(incoming.private_data());
  if (!ticket || ticket->kind != ChannelKind::kControl) return false;
  auto accepted = incoming.Accept(kControlChannel);
  if (!accepted.ok()) return false;
  if (absl::Status added = AddCandidate(*std::move(accepted), incoming.rail()); !added.ok()) return added;
  return true;
}

absl::StatusOr<Connection> Rendezvous::Wrap(std::unique_ptr<Channel> control) {
  auto buffers = RegisteredBuffer::Create(*transport_, ControlLink::kBufferBytes, RemoteAccess::kNone);
  if (!buffers.ok()) return buffers.status();
  const std::size_t rails = transport_->rails();
  auto hello =
      MakeHello(role_, std::max(options_.demand_channels, rails), std::max(options_.push_channels, rails), rails);
  if (!hello.ok()) return hello.status();
  Connection connection;
  connection.control_buffers = *std::move(buffers);
  connection.control = std::move(control);
  connection.own_hello = *hello;
  connection.link = std::make_unique<ControlLink>(*connection.control, connection.control_buffers.bytes(),
                                                  connection.control_buffers.local_key());
  return connection;
}

}  // namespace farfault
