#ifndef FARFAULT_LIB_RUNTIME_RENDEZVOUS_H_
#define FARFAULT_LIB_RUNTIME_RENDEZVOUS_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/options.h"
#include "lib/fault/guest_process.h"
#include "lib/runtime/candidate.h"
#include "lib/runtime/connection.h"
#include "lib/runtime/event_sink.h"
#include "lib/session/handshake.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault {

/// Finds the peer: listens or connects, whichever the options say, and proves both ends to each other.
class Rendezvous {
 public:
  /// What the talk after the proof came to.
  enum class Agreement {
    kSession,   ///< Open the data channels.
    kPeerLeft,  ///< It only wanted to know; wait for the next peer.
    kEnough,    ///< We only wanted to know; no data channels.
  };

  /// `spin`: threads of data channels may. kInvalidArgument (options), kAlreadyExists (address in use), and what the
  /// transport says.
  static absl::StatusOr<std::unique_ptr<Rendezvous>> Create(Role role, const SessionOptions& options, bool spin,
                                                            EventSink& events);

  /// When the last peer has been met: channels and memory go on using the transport, the listener ends.
  std::unique_ptr<Transport> TakeTransport() {
    candidates_.clear();
    listener_.reset();
    return std::move(transport_);
  }

  /// Waiting for a peer ends with kAborted soon after `guest`, which outlives the waiting, has exited.
  void WatchGuest(const GuestProcess& guest) { guest_ = &guest; }

  /// Meets a peer. `agree` talks with it over the control link. A listening side outlasts peers that fail before they
  /// have proved who they are or that vanish, and lets none of them delay another; a connecting side retries only while
  /// nobody listens.
  absl::StatusOr<Connection> Meet(absl::FunctionRef<absl::StatusOr<Agreement>(Connection&)> agree);

 private:
  /// For the last words of a session that fails before it has begun.
  static constexpr absl::Duration kFarewell = absl::Seconds(1);

  Rendezvous(Role role, const SessionOptions& options, bool spin, EventSink& events,
             std::unique_ptr<Transport> transport, std::unique_ptr<Listener> listener)
      : role_(role),
        options_(options),
        spin_(spin),
        events_(events),
        transport_(std::move(transport)),
        listener_(std::move(listener)) {}

  bool listening() const { return listener_ != nullptr; }
  absl::StatusOr<std::unique_ptr<Channel>> ConnectControl(Deadline deadline);
  absl::Status AcceptControl(Deadline deadline);
  absl::StatusOr<Connection> Wrap(std::unique_ptr<Channel> control);
  absl::StatusOr<Connection> ConnectPeer(Deadline deadline);
  absl::StatusOr<Connection> AcceptPeer(Deadline deadline);
  absl::Status NobodyCame() const;
  bool guest_gone() const { return guest_ != nullptr && guest_->exited(); }
  /// Whether what came in wants to be a peer, and is a candidate now.
  absl::StatusOr<bool> Admit(IncomingChannel& incoming);
  absl::Status AddCandidate(std::unique_ptr<Channel> control, std::size_t rail);
  absl::Status WrongRail(std::size_t rail, std::size_t right) const;
  std::unique_ptr<Candidate> PollCandidates();
  void HintAtFailure(const absl::Status& failure);
  void HintAtTrouble();
  void HintAtAttempt(const absl::Status& failure);
  absl::Status OpenDataChannels(Connection& connection);
  absl::StatusOr<std::unique_ptr<Channel>> OpenDataChannel(const ChannelTicket& ticket, Deadline deadline);
  absl::StatusOr<std::unique_ptr<Channel>> AcceptDataChannel(ControlLink& link, const ChannelTicket& expected,
                                                             Deadline deadline);
  ChannelOptions DataOptions(ChannelKind kind) const;
  // Channels go round the rails, so that there is one of each kind on each.
  std::size_t RailOf(const ChannelTicket& ticket) const { return ticket.index % transport_->rails(); }

  const Role role_;
  const SessionOptions& options_;
  const bool spin_;
  EventSink& events_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Candidate>> candidates_;  // Oldest first.
  const GuestProcess* guest_ = nullptr;
  absl::Status last_failure_;            // Of a peer that came and failed.
  std::set<std::string> attempts_told_;  // Why this side could not connect.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_RENDEZVOUS_H_
