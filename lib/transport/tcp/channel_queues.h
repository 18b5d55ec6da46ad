#ifndef FARFAULT_LIB_TRANSPORT_TCP_CHANNEL_QUEUES_H_
#define FARFAULT_LIB_TRANSPORT_TCP_CHANNEL_QUEUES_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/transport/tcp/tcp_frame.h"
#include "lib/transport/transport.h"

// What the three parties of a channel hand to each other: the owner posts and reaps, the writer sends, the reader
// receives and executes. Each counter has one party that raises it, so nothing here needs a lock. Whoever holds the
// writer's turn is the writer (see FrameWriter); the reader is the serving thread, or the owner inside Poll.
namespace farfault {

/// Entries by number, reused round and round.
template <typename T>
class Ring {
 public:
  explicit Ring(std::size_t capacity) : entries_(std::bit_ceil(capacity)), mask_(entries_.size() - 1) {}
  T& operator[](std::uint64_t number) { return entries_[number & mask_]; }
  const T& operator[](std::uint64_t number) const { return entries_[number & mask_]; }

 private:
  std::vector<T> entries_;
  std::uint64_t mask_;
};

/// 0 <= reaped <= completed <= picked <= posted, and posted - reaped is what the send slots bound.
struct RequestQueue {
  struct Request {
    FrameHeader header;
    std::array<std::byte, kTcpInlineBytes> inline_bytes;
    std::byte* local = nullptr;
    std::uint32_t local_key = 0;
    Opcode opcode = Opcode::kSend;
    bool signaled = false;
    bool inline_data = false;
    std::uint64_t id = 0;
  };

  explicit RequestQueue(std::uint32_t slots) : entries(slots), capacity(slots) {}

  Ring<Request> entries;
  const std::uint32_t capacity;
  std::atomic<std::uint64_t> posted = 0;      // Owner.
  std::atomic<std::uint64_t> picked = 0;      // Writer: handed to the socket, or about to be.
  std::atomic<std::uint64_t> completed = 0;   // Reader: executed at the peer, bytes of READs landed.
  std::atomic<std::uint64_t> reads_done = 0;  // Reader.
  std::atomic<std::uint32_t> credits = 0;     // Reader: SENDs that the peer has room for, ever, modulo 2^32.
  std::uint64_t reaped = 0;                   // Owner.
};

/// 0 <= reaped <= filled <= posted.
struct ReceiveQueue {
  struct Receive {
    std::uint64_t id = 0;
    std::span<std::byte> buffer;
    std::uint32_t local_key = 0;
    std::uint32_t length = 0;
  };

  explicit ReceiveQueue(std::uint32_t slots) : entries(slots), capacity(slots) {}

  Ring<Receive> entries;
  const std::uint32_t capacity;
  std::atomic<std::uint64_t> posted = 0;  // Owner.
  std::atomic<std::uint64_t> filled = 0;  // Reader.
  std::uint64_t reaped = 0;               // Owner.
};

/// Answers to the peer's requests, from the reader to the writer.
struct AnswerQueue {
  struct ReadAnswer {
    FrameHeader header;
    // Short reads are copied when they are executed, so that 1 and 8 bytes are read at one moment.
    std::array<std::byte, kTcpInlineBytes> inline_bytes;
    const std::byte* source = nullptr;  // Null: in inline_bytes.
    std::uint32_t key = 0;
  };

  // Twice what a peer may have out: it may have got the answers of one half while their send still returns here.
  static constexpr std::uint32_t kCapacity = 2 * kTcpOutstandingReads;
  Ring<ReadAnswer> reads{kCapacity};
  std::atomic<std::uint64_t> reads_pushed = 0;     // Reader.
  std::atomic<std::uint64_t> reads_popped = 0;     // Writer.
  std::atomic<std::uint64_t> executed = 0;         // Reader: requests of the peer, READs once they are pushed.
  std::atomic<std::uint64_t> progress_wanted = 0;  // Reader: the peer waits to hear that so many are executed.
};

struct ChannelQueues {
  ChannelQueues(std::uint32_t send_slots, std::uint32_t receive_slots)
      : requests(send_slots), receives(receive_slots) {}

  RequestQueue requests;
  ReceiveQueue receives;
  AnswerQueue answers;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_CHANNEL_QUEUES_H_
