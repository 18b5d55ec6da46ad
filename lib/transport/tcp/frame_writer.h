#ifndef FARFAULT_LIB_TRANSPORT_TCP_FRAME_WRITER_H_
#define FARFAULT_LIB_TRANSPORT_TCP_FRAME_WRITER_H_

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "lib/transport/tcp/call_size.h"
#include "lib/transport/tcp/channel_failure.h"
#include "lib/transport/tcp/channel_queues.h"
#include "lib/transport/tcp/memory_table.h"

namespace farfault {

/// Sends what the owner has posted and what the reader has to answer, as far as the socket takes it.
///
/// Nobody ever waits for the socket's writing side: Flush takes the writer's turn when it is free, and otherwise leaves
/// word to whoever has it, who then looks again before giving it up. So posts and answers cannot interleave within a
/// frame, and neither the owner nor the serving thread stops for the other.
class FrameWriter {
 public:
  FrameWriter(int socket, MemoryTable& memory, ChannelQueues& queues, ChannelFailure& failure)
      : socket_(socket), memory_(memory), queues_(queues), failure_(failure) {}

  /// Call after anything was queued and when the socket takes more. Any thread; neither blocks nor allocates.
  void Flush();

  /// The SENDs that the peer may send are due to be told: call Flush.
  bool OwesCredits() const;
  /// The socket was full when something was left: Flush when it is writable.
  bool blocked() const { return blocked_.load(std::memory_order_acquire); }
  /// errno of the send that failed, or 0.
  int error() const { return error_.load(std::memory_order_acquire); }

 private:
  enum class Turn : int { kFree, kTaken, kTakenLookAgain };
  enum class Kind : std::uint8_t { kRequest, kReadAnswer, kProgress, kNotice };

  // One frame that is to go out, in order. What it points to stays until the frame has been sent.
  struct Frame {
    Kind kind{};
    std::uint32_t head_length = 0;
    const std::byte* head = nullptr;
    const std::byte* body = nullptr;  // In registered memory under `key`; null: the head is all.
    std::uint64_t body_length = 0;
    std::uint32_t key = 0;
    std::uint64_t number = 0;
    FrameHeader own_header;  // kProgress and kNotice.

    std::uint64_t length() const { return head_length + body_length; }
  };

  static constexpr std::size_t kFrames = 128;  // Two parts each, far below IOV_MAX.

  // What one sendmsg sends, and the memory that it pins meanwhile.
  struct Gather {
    std::array<iovec, 2 * kFrames> parts;
    std::array<MemoryTable::Pin, 8> pins;
    std::uint64_t room = 0;  // Bytes that may still be added.
    std::size_t part_count = 0;
    std::size_t pin_count = 0;
    std::uint32_t pinned_key = 0;

    void Add(const std::byte* data, std::uint64_t length, std::uint64_t& skip);
  };

  void WriteSome();
  bool StopRequests();
  void Pick();
  void PickReadAnswers();
  void PickProgress(std::uint64_t executed);
  void PickRequests();
  void PickNotice(const ChannelFailure::Notice& notice);
  bool Send();
  bool GatherFrames(Gather& gather);
  bool PinBody(Gather& gather, const Frame& frame, std::uint64_t already_sent);
  void RefuseBody(const Frame& frame, Refusal refusal, bool begun);
  bool OnSendError(int error);
  void Consume(std::uint64_t bytes);
  void CloseOutput();

  Frame& FrameAt(std::size_t i) { return frames_[(first_ + i) % kFrames]; }
  Frame& Append(Kind kind);

  const int socket_;
  MemoryTable& memory_;
  ChannelQueues& queues_;
  ChannelFailure& failure_;

  std::atomic<Turn> turn_ = Turn::kFree;
  std::atomic<bool> blocked_ = false;
  std::atomic<int> error_ = 0;
  std::atomic<std::uint64_t> credits_told_ = 0;

  // The rest belongs to whoever has the turn.
  std::array<Frame, kFrames> frames_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::uint64_t first_sent_ = 0;  // Bytes of the first frame that are out.
  std::uint64_t reads_answered_ = 0;
  std::uint64_t progress_told_ = 0;
  std::uint64_t reads_picked_ = 0;
  std::uint32_t sends_picked_ = 0;
  bool answers_stopped_ = false;  // The memory of an answer was refused.
  bool notice_picked_ = false;
  bool closed_ = false;
  CallSize call_size_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_FRAME_WRITER_H_
