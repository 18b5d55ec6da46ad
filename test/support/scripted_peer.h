#ifndef FARFAULT_TEST_SUPPORT_SCRIPTED_PEER_H_
#define FARFAULT_TEST_SUPPORT_SCRIPTED_PEER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/runtime/registered_buffer.h"
#include "lib/session/control_link.h"
#include "lib/session/handshake.h"
#include "lib/transport/transport.h"

namespace farfault {

/// One end of a session made of the protocol's own parts, so that it can stop or lie at any step. Its destruction
/// closes everything without a word. The test's own thread only: a step that fails ends the test case.
class ScriptedPeer {
 public:
  /// Connects to a session that listens.
  ScriptedPeer(const std::string& address, Role role);
  /// Listens on a free port of the loopback; Accept comes next.
  explicit ScriptedPeer(Role role);

  /// Where it listens, or what it connects to.
  const std::string& address() const { return address_; }
  void Accept();

  Transport& transport() { return *transport_; }
  ControlLink& link() { return *link_; }
  HelloMessage& hello() { return hello_; }

  absl::StatusOr<ControlMessage> Next();
  /// Messages of the type `between` may come first.
  void Expect(MessageType type, MessageType between = MessageType::kFailure);
  void SayHello();
  /// Takes the other end's greeting and proves that it knows the key, which is empty.
  void Prove();
  /// What the other end, which listens, says to the data channel of a session that is not this one.
  absl::Status OpenForeignDataChannel(ChannelKind kind);
  /// The data channel of this kind, after Prove.
  std::unique_ptr<Channel> OpenDataChannel(ChannelKind kind);
  /// The other end may have lost patience first.
  void Flush();
  /// Closes the control channel without a word. One that listens may accept another.
  void HangUp();

 private:
  void Wrap(absl::StatusOr<std::unique_ptr<Channel>> control);

  Role role_;
  std::string address_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Listener> listener_;
  RegisteredBuffer buffers_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<ControlLink> link_;
  HelloMessage hello_;
  HelloMessage other_hello_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_SCRIPTED_PEER_H_
