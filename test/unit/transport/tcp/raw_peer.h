#ifndef FARFAULT_TEST_UNIT_TRANSPORT_TCP_RAW_PEER_H_
#define FARFAULT_TEST_UNIT_TRANSPORT_TCP_RAW_PEER_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/transport/transport.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// A plain socket that says to a tcp listener or channel whatever a test wants.
class RawPeer {
 public:
  /// Connects to "tcp://127.0.0.1:PORT".
  explicit RawPeer(std::string_view address);

  void Send(std::span<const std::byte> bytes) const;
  void Send(std::string_view text) const { Send(std::as_bytes(std::span(text))); }
  template <typename T>
  void SendStruct(const T& value) const {
    Send(std::as_bytes(std::span(&value, 1)));
  }
  /// Up to `count` bytes; fewer when the other side ends the connection or says nothing for a while.
  std::vector<std::byte> Receive(std::size_t count) const;
  /// Ends what this side says; the other side may go on.
  void FinishSending() const;
  /// Whether the other side has ended the connection, after what it still had to say.
  bool SeesEnd() const;

 private:
  UniqueFd socket_;
};

/// A listener that has accepted a RawPeer's hello.
struct RawConnection {
  explicit RawConnection(const ChannelOptions& options);

  std::unique_ptr<Transport> transport;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<RawPeer> peer;
  std::unique_ptr<Channel> channel;

  /// Polls until the channel is broken and its owner can tell; false when that does not happen.
  bool PollUntilBroken() const;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_UNIT_TRANSPORT_TCP_RAW_PEER_H_
