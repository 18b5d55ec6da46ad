#ifndef FARFAULT_LIB_TRANSPORT_SIM_TIMED_CONNECTION_H_
#define FARFAULT_LIB_TRANSPORT_SIM_TIMED_CONNECTION_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "lib/transport/sim/completion_queue.h"
#include "lib/transport/sim/receive_ring.h"
#include "lib/transport/sim/sim_channel.h"
#include "lib/transport/sim/timed_wire.h"
#include "lib/transport/transport.h"

namespace farfault::sim {

/// A channel on a wire that takes time. Requests are sent frame by frame, executed in order when they arrive, and
/// answered in order; READs and signalled requests have answers. Owned by its references: one per end, one per event or
/// queue that names one of its flows. Everything but the first three methods happens under the wire's mutex.
class TimedConnection {
 public:
  /// Starts with one reference per end.
  TimedConnection(TimedWire& wire, std::uint64_t number, EndOptions first, EndOptions second);
  TimedConnection(const TimedConnection&) = delete;
  TimedConnection& operator=(const TimedConnection&) = delete;

  const EndOptions& options(int side) const { return end(side).options; }
  CompletionQueue& completions(int side) { return end(side).completions; }
  bool broken() const { return broken_.load(std::memory_order_acquire); }

  TimedWire& wire() { return wire_; }
  absl::Status failure() const { return failure_; }
  PostResult Post(int side, std::span<const WorkRequest> chain);
  PostResult PostReceive(int side, const PostedReceive& receive);
  void Break(const absl::Status& reason);

  void Retain() { ++references_; }
  void Release();

  // For the wire.
  std::string_view name(int side) const { return end(side).options.name; }
  bool HasFrame(const Flow& flow) const;
  Flow::Frame TakeFrame(Flow& flow);
  /// Deals with the frames that have arrived, as far as it can.
  void Arrive(Flow& flow);

 private:
  /// What goes back for a request.
  struct Answer {
    std::uint64_t request = 0;
    bool ok = true;
    std::uint32_t length = 0;
    BufferPool::Buffer bytes{};  // Of a READ.
  };
  struct End {
    explicit End(EndOptions end_options);

    EndOptions options;
    CompletionQueue completions;
    ReceiveRing receives;
    TimedWire::Link* link = nullptr;  // To the other end.
    Flow requests;
    Flow answers;
    // Requests are numbered from 0; number n is in slot n % send_slots until a completion behind it has been polled.
    std::vector<StoredRequest> slots;
    std::uint64_t posted = 0;
    std::uint64_t sent = 0;
    std::uint32_t sent_offset = 0;
    std::uint64_t answered = 0;
    std::uint64_t retired = 0;
    std::uint32_t reads_out = 0;
    // As responder.
    std::deque<Answer> unsent_answers;
    std::uint32_t answer_offset = 0;
    bool refuses = false;  // A request was wrong: nothing more is executed.
  };

  End& end(int side) { return ends_[static_cast<std::size_t>(side)]; }
  const End& end(int side) const { return ends_[static_cast<std::size_t>(side)]; }
  StoredRequest& Slot(End& requester, std::uint64_t number) { return requester.slots[number % requester.slots.size()]; }

  Flow::Frame TakeRequestFrame(End& requester);
  Flow::Frame TakeAnswerFrame(End& responder);

  // Each is false when the frame must be looked at again later.
  bool ArriveRequest(int side, Flow::Frame& frame);
  bool ArriveWrite(int side, const WorkRequest& request, Flow::Frame& frame);
  bool ArriveSend(int side, const WorkRequest& request, Flow::Frame& frame);
  bool ArriveRead(int side, const WorkRequest& request, const Flow::Frame& frame);
  bool ArriveAnswer(int side, Flow::Frame& frame);
  /// Puts the frame's bytes there, all at once or part of them now and all of them later.
  bool Land(Flow& flow, Flow::Frame& frame, std::byte* to);
  void Put(std::byte* to, const std::byte* from, std::uint64_t length);

  /// From the end that answers.
  void SendAnswer(int responder_side, Answer answer);
  bool Refuse(int responder_side, std::uint64_t request);
  bool Executed(int requester_side, const WorkRequest& request, std::uint64_t number);
  void PushCompletion(int side, const Completion& completion, std::uint32_t retired);
  void Complete(int side, std::uint64_t number, CompletionStatus status);
  /// Comes before the first completion that tells of it: whoever sees a request fail finds the channel broken.
  void MarkBroken(const absl::Status& reason);
  void Flush(End& end);
  void FlushBoth();
  void DropFrames(Flow& flow);
  SimObserver::Request Describe(int side, std::uint64_t number, const WorkRequest& request) const;

  TimedWire& wire_;
  const std::uint64_t number_;
  std::array<End, 2> ends_;
  std::uint64_t references_ = 2;
  std::atomic<bool> broken_{false};
  absl::Status failure_;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_TIMED_CONNECTION_H_
