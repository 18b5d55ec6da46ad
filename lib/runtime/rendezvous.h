#ifndef FARFAULT_LIB_RUNTIME_RENDEZVOUS_H_
#define FARFAULT_LIB_RUNTIME_RENDEZVOUS_H_

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/options.h"
#include "lib/runtime/event_sink.h"
#include "lib/runtime/registered_buffer.h"
#include "lib/session/control_link.h"
#include "lib/session/handshake.h"
#include "lib/transport/transport.h"

namespace farfault {

/// Everything between this side and one authenticated peer. Members end in reverse order: channels before the memory
/// that they use.
struct Connection {
  RegisteredBuffer control_buffers;
  std::unique_ptr<Channel> control;
  std::unique_ptr<ControlLink> link;
  HelloMessage own_hello;
  HelloMessage peer_hello;
  std::vector<std::unique_ptr<Channel>> demand;
  std::vector<std::unique_ptr<Channel>> push;

  std::size_t demand_channels() const;
  std::size_t push_channels() const;
};

/// The next message, which must come by `deadline`. A kFailure from the peer becomes its status. `what` completes
/// "waiting for the peer's …". kUnavailable: connection lost; kDeadlineExceeded; kDataLoss: nonsense.
absl::StatusOr<ControlMessage> WaitForMessage(ControlLink& link, std::string_view what, absl::Time deadline);
/// The same, and the message has this type.
absl::StatusOr<ControlMessage> ExpectMessage(ControlLink& link, MessageType type, std::string_view what,
                                             absl::Time deadline);
/// Waits until what was sent has reached the peer.
absl::Status FlushLink(ControlLink& link, absl::Time deadline);

/// Finds the peer: listens or connects, whichever the options say, and proves both ends to each other.
class Rendezvous {
 public:
  /// What the talk after the proof came to.
  enum class Agreement {
    kSession,   ///< Open the data channels.
    kPeerLeft,  ///< It only wanted to know; wait for the next peer.
    kEnough,    ///< We only wanted to know; no data channels.
  };

  /// kInvalidArgument (options), kAlreadyExists (address in use), and what the transport says.
  static absl::StatusOr<std::unique_ptr<Rendezvous>> Create(Role role, const SessionOptions& options,
                                                            EventSink& events);

  /// When the last peer has been met: channels and memory go on using the transport, the listener ends.
  std::unique_ptr<Transport> TakeTransport() {
    listener_.reset();
    return std::move(transport_);
  }

  /// Meets a peer. `agree` talks with it over the control link. A listening side outlasts peers that fail before they
  /// have proved who they are or that vanish; a connecting side retries only while nobody listens.
  absl::StatusOr<Connection> Meet(absl::FunctionRef<absl::StatusOr<Agreement>(Connection&)> agree);

 private:
  Rendezvous(Role role, const SessionOptions& options, EventSink& events, std::unique_ptr<Transport> transport,
             std::unique_ptr<Listener> listener)
      : role_(role),
        options_(options),
        events_(events),
        transport_(std::move(transport)),
        listener_(std::move(listener)) {}

  bool listening() const { return listener_ != nullptr; }
  absl::StatusOr<std::unique_ptr<Channel>> ConnectControl(absl::Time deadline);
  absl::StatusOr<std::unique_ptr<Channel>> AcceptControl(absl::Time deadline);
  absl::StatusOr<Connection> Wrap(std::unique_ptr<Channel> control);
  absl::Status Authenticate(Connection& connection);
  absl::Status OpenDataChannels(Connection& connection);
  absl::StatusOr<std::unique_ptr<Channel>> OpenDataChannel(const ChannelTicket& ticket, absl::Time deadline);
  absl::StatusOr<std::unique_ptr<Channel>> AcceptDataChannel(const ChannelTicket& expected, absl::Time deadline);
  ChannelOptions DataOptions(ChannelKind kind) const;

  const Role role_;
  const SessionOptions& options_;
  EventSink& events_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_RENDEZVOUS_H_
