#ifndef FARFAULT_LIB_SESSION_CONTROL_LINK_H_
#define FARFAULT_LIB_SESSION_CONTROL_LINK_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "farfault/page.h"
#include "lib/session/wire.h"
#include "lib/transport/transport.h"

namespace farfault {

/// A message of the control channel. `payload` is valid until the next call of Receive.
struct ControlMessage {
  MessageType type{};
  std::span<const std::byte> payload;

  /// The payload as a T, or nothing when it has another size.
  template <typename T>
  std::optional<T> As() const {
    if (payload.size() != sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, payload.data(), sizeof(T));
    return value;
  }
};

/// The payload of kFailure.
std::vector<std::byte> EncodeFailure(const absl::Status& status);

/// Sends and receives messages over the control channel. Never blocks. Control plane: it may allocate. One thread.
class ControlLink {
 public:
  static constexpr std::size_t kReceives = 16;
  static constexpr std::size_t kSends = 16;
  static constexpr std::size_t kBufferBytes = (kReceives + kSends) * kControlBytes;

  /// `buffers` is kBufferBytes of memory registered under `buffers_key`; it and the channel outlive this object.
  ControlLink(Channel& channel, std::span<std::byte> buffers, std::uint32_t buffers_key);

  /// From now on the peer is told, before any other message, what new keys of this end stand for, and what it says of
  /// its own goes to `keys`, which outlives this object. Not before the peer has proved who it is. Null: there is
  /// nothing to tell.
  void ShareKeys(KeyExchange* keys) { keys_ = keys; }

  void Send(MessageType type, std::span<const std::byte> payload = {});
  template <typename T>
  void SendStruct(MessageType type, const T& value) {
    Send(type, std::as_bytes(std::span(&value, 1)));
  }
  /// As many messages of `type` as the runs need; none for no runs.
  void SendRuns(MessageType type, std::span<const PageRun> runs);
  void SendFailure(const absl::Status& status) { Send(MessageType::kFailure, EncodeFailure(status)); }

  /// Makes progress; the next message, if there is one.
  std::optional<ControlMessage> Receive();

  /// Makes progress without taking messages, for who waits for something else meanwhile. False: the connection is lost.
  bool StillConnected();

  /// Everything sent so far has reached the peer.
  bool flushed() const { return outbox_.empty() && sends_in_use_ == 0; }
  /// OK until the peer sends nonsense or Receive finds the channel lost, which it does when it has handed out whatever
  /// came before.
  const absl::Status& status() const { return status_; }
  Channel& channel() const { return channel_; }

 private:
  void SendNewKeys();
  /// False: nonsense.
  bool LearnKeys(std::span<const std::byte> payload);
  void Queue(MessageType type, std::span<const std::byte> payload);
  void PostReceive(std::uint64_t id);
  // The buffer of the message that the caller had.
  void TakeBack();
  void PostSends();
  bool NextCompletion(Completion& completion);
  std::optional<ControlMessage> Decode(const Completion& completion);
  void Fail(absl::Status status);
  std::span<std::byte> ReceiveBuffer(std::uint64_t id) const {
    return buffers_.subspan(id * kControlBytes, kControlBytes);
  }
  std::span<std::byte> SendBuffer(std::uint64_t id) const {
    return buffers_.subspan((kReceives + id % kSends) * kControlBytes, kControlBytes);
  }

  Channel& channel_;
  std::span<std::byte> buffers_;
  std::uint32_t buffers_key_;
  std::deque<std::vector<std::byte>> outbox_;
  std::deque<Completion> arrived_;  // Receives that StillConnected has come across; at most kReceives.
  std::uint64_t next_send_ = 0;
  std::size_t sends_in_use_ = 0;
  std::optional<std::uint64_t> handed_out_;
  absl::Status status_;
  KeyExchange* keys_ = nullptr;
  std::uint64_t keys_sent_ = 0;
};

/// The runs in a payload of kDirtyRuns or kHoles; nothing when it is malformed.
std::optional<std::vector<PageRun>> DecodeRuns(std::span<const std::byte> payload);

/// The peer's reason, as a status to give to the user.
absl::Status DecodeFailure(std::span<const std::byte> payload);

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_CONTROL_LINK_H_
