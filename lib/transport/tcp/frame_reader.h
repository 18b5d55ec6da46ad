#ifndef FARFAULT_LIB_TRANSPORT_TCP_FRAME_READER_H_
#define FARFAULT_LIB_TRANSPORT_TCP_FRAME_READER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/transport/tcp/call_size.h"
#include "lib/transport/tcp/channel_failure.h"
#include "lib/transport/tcp/channel_queues.h"
#include "lib/transport/tcp/frame_writer.h"
#include "lib/transport/tcp/memory_table.h"

namespace farfault {

/// Receives frames, executes the peer's requests and completes this side's. One thread at a time.
///
/// Headers and short payloads come through a buffer, many with one system call; the rest of a long payload is received
/// straight into the memory that it is for. Nothing here waits for the owner or for the socket's writing side: a SEND
/// comes only when there is a buffer for it, and no more READs come than there is room for answers. So a channel whose
/// both ends push and read at full speed cannot lock up.
class FrameReader {
 public:
  enum class Result : std::uint8_t {
    kMore,     ///< The socket may have more.
    kDrained,  ///< It had less than what there was room for, so it is empty, or at its end.
    kEmpty,    ///< It had nothing.
    kEnded,    ///< The channel is broken; nothing is received any more.
  };

  FrameReader(int socket, MemoryTable& memory, ChannelQueues& queues, ChannelFailure& failure,
              const FrameWriter& writer)
      : socket_(socket), memory_(memory), queues_(queues), failure_(failure), writer_(writer) {}

  /// One system call and what it brought. Never blocks.
  Result ReadOnce();

  /// Of everything that has come. Reader only.
  std::uint64_t bytes_received() const { return bytes_received_; }

  /// Changes whenever there is something new for the owner. Reader only.
  std::uint64_t completions() const {
    return queues_.requests.completed.load(std::memory_order_relaxed) +
           queues_.receives.filled.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kBufferBytes = 64u << 10;
  // Up to here a payload is taken from the buffer as a whole.
  static constexpr std::uint32_t kShortPayload = kMaxRefusalText;
  // Soon after a long payload the next is likely to be long, too: then only headers are received into the buffer, so
  // that bulk is not copied twice. Many short payloads are: that costs less than a system call for each.
  static constexpr std::uint64_t kLongPayload = 64u << 10;
  static constexpr std::size_t kBytesBehindLongPayload = 512;
  static constexpr std::size_t kShortsUntilBuffered = 4;
  static_assert(kBytesBehindLongPayload > sizeof(FrameHeader) + kShortPayload, "a whole frame fits");
  enum class Parsed : std::uint8_t { kFrame, kIncomplete, kBroken };

  // A long payload that is being received.
  struct Payload {
    FrameHeader header;
    std::byte* target = nullptr;
    std::uint64_t left = 0;
    std::uint32_t key = 0;
    RemoteAccess access = RemoteAccess::kNone;
  };

  Result Receive();
  Result OnReceiveError(int error);
  bool ParseBuffer();
  Parsed ParseFrame();
  Parsed OnWrite(const FrameHeader& header);
  Parsed OnRead(const FrameHeader& header);
  Parsed OnSend(const FrameHeader& header);
  Parsed OnReadResponse(const FrameHeader& header);
  Parsed OnProgress(const FrameHeader& header);
  Parsed OnRefusal(const FrameHeader& header);

  Parsed TakePayload(const Payload& payload);
  void CopyIn(std::byte* target, std::uint64_t count, std::uint64_t total);
  Parsed Finish(const FrameHeader& header);
  void CountExecuted(const FrameHeader& header);
  bool CompleteRequests(std::uint64_t until);
  Parsed Refuse(Refusal refusal, const FrameHeader& header);
  Parsed RefuseLocal(Refusal refusal, const Payload& payload);
  Parsed Malformed(const FrameHeader& header) { return Refuse(Refusal::kMalformed, header); }

  std::size_t buffered() const { return end_ - begin_; }

  const int socket_;
  MemoryTable& memory_;
  ChannelQueues& queues_;
  ChannelFailure& failure_;
  const FrameWriter& writer_;

  std::array<std::byte, kBufferBytes> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t shorts_since_long_ = kShortsUntilBuffered;
  Payload payload_;
  CallSize call_size_;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_FRAME_READER_H_
