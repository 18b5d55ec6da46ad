#ifndef FARFAULT_LIB_RUNTIME_CONNECTION_H_
#define FARFAULT_LIB_RUNTIME_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/stats.h"
#include "lib/runtime/registered_buffer.h"
#include "lib/session/control_link.h"
#include "lib/session/handshake.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"

namespace farfault {

/// Everything between this side and one peer. Members end in reverse order: channels before the memory that they use.
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

  /// What carries the data channels and what both ends agreed on, for people. Empty where there is nothing to tell.
  std::string Describe() const;
  /// The same in numbers, with what `transport` has moved over each rail.
  void CountLimits(const Transport& transport, SessionStats& stats) const;
};

/// The next message if it has come; a kFailure from the peer becomes its status. `what` completes "waiting for the
/// peer's …". kUnavailable: connection lost; kDataLoss: nonsense.
absl::StatusOr<std::optional<ControlMessage>> TakeMessage(ControlLink& link, std::string_view what);
absl::Status CheckType(const ControlMessage& message, MessageType type, std::string_view what);
absl::Status SilentPeerError(std::string_view what);

/// The next message, which must come by `deadline`: errors of TakeMessage, and kDeadlineExceeded.
absl::StatusOr<ControlMessage> WaitForMessage(ControlLink& link, std::string_view what, Deadline deadline);
/// The same, and the message has this type.
absl::StatusOr<ControlMessage> ExpectMessage(ControlLink& link, MessageType type, std::string_view what,
                                             Deadline deadline);
/// Waits until what was sent has reached the peer.
absl::Status FlushLink(ControlLink& link, Deadline deadline);

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_CONNECTION_H_
