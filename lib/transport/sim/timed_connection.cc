#include "lib/transport/sim/timed_connection.h"

#include <algorithm>
#include <utility>

#include "lib/transport/sim/copy_bytes.h"

namespace farfault::sim {

TimedConnection::End::End(EndOptions end_options)
    : options(std::move(end_options)),
      completions(options.channel.send_slots + options.channel.receive_slots),
      receives(options.channel.receive_slots),
      slots(options.channel.send_slots) {}

TimedConnection::TimedConnection(TimedWire& wire, std::uint64_t number, EndOptions first, EndOptions second)
    : wire_(wire), number_(number), ends_{End(std::move(first)), End(std::move(second))} {
  for (int side = 0; side < 2; ++side) {
    End& self = end(side);
    self.link = wire.LinkBetween(self.options.domain, end(1 - side).options.domain);
    for (Flow* flow : {&self.requests, &self.answers}) {
      flow->connection = this;
      flow->side = side;
    }
    self.answers.answers = true;
  }
  wire.Adopt(this);
}

void TimedConnection::Release() {
  if (--references_ == 0) wire_.Delete(this);
}

SimObserver::Request TimedConnection::Describe(int side, std::uint64_t number, const WorkRequest& request) const {
  return {options(side).name, number_,        side,          number,
          request.opcode,     request.length, request.local, request.remote_address};
}

PostResult TimedConnection::Post(int side, std::span<const WorkRequest> chain) {
  End& self = end(side);
  if (wire_.script().active() && wire_.script().OnPost(self.options.name, chain.size(), wire_.now())) {
    Break(absl::UnavailableError("the script broke the channel"));
  }
  if (broken()) return PostResult::kBroken;
  for (const WorkRequest& request : chain) {
    Slot(self, self.posted).Store(request);
    if (wire_.observer() != nullptr) wire_.observer()->OnPosted(Describe(side, self.posted, request));
    ++self.posted;
  }
  wire_.StartSending(self.link, &self.requests);
  return PostResult::kOk;
}

PostResult TimedConnection::PostReceive(int side, const PostedReceive& receive) {
  if (broken()) return PostResult::kBroken;
  end(side).receives.Add(receive);
  Flow& requests = end(1 - side).requests;
  requests.starved = false;
  wire_.ScheduleArrival(&requests);
  return PostResult::kOk;
}

void TimedConnection::DropFrames(Flow& flow) {
  for (Flow::Frame& frame : flow.frames) wire_.buffers().Return(std::move(frame.bytes));
  flow.frames.clear();
}

void TimedConnection::Flush(End& self) {
  const int side = self.requests.side;
  for (std::uint64_t number = self.answered; number < self.posted; ++number) {
    Complete(side, number, CompletionStatus::kFlushed);
  }
  while (const PostedReceive* receive = self.receives.front()) {
    PushCompletion(side, {.id = receive->id, .opcode = Opcode::kReceive, .status = CompletionStatus::kFlushed}, 0);
    self.receives.TakeFront();
  }
  DropFrames(self.requests);
  DropFrames(self.answers);
  for (Answer& answer : self.unsent_answers) wire_.buffers().Return(std::move(answer.bytes));
  self.unsent_answers.clear();
  self.completions.Wake();
}

void TimedConnection::Break(const absl::Status& reason) {
  if (broken()) return;
  MarkBroken(reason);
  FlushBoth();
}

void TimedConnection::MarkBroken(const absl::Status& reason) {
  failure_ = reason;
  broken_.store(true, std::memory_order_release);
}

void TimedConnection::FlushBoth() {
  for (End& each : ends_) Flush(each);
  if (wire_.observer() != nullptr) wire_.observer()->OnBroken(number_);
}

bool TimedConnection::HasFrame(const Flow& flow) const {
  const End& self = end(flow.side);
  if (broken()) return false;
  if (flow.answers) return !self.unsent_answers.empty();
  if (self.sent == self.posted) return false;
  const WorkRequest& next = self.slots[self.sent % self.slots.size()].request;
  return next.opcode != Opcode::kRead || self.reads_out < kMaxOutstandingReads;
}

Flow::Frame TimedConnection::TakeFrame(Flow& flow) {
  End& self = end(flow.side);
  return flow.answers ? TakeAnswerFrame(self) : TakeRequestFrame(self);
}

Flow::Frame TimedConnection::TakeRequestFrame(End& requester) {
  const StoredRequest& stored = Slot(requester, requester.sent);
  const WorkRequest& request = stored.request;
  Flow::Frame frame{.request = requester.sent, .offset = requester.sent_offset};
  const ReaderLock lock(&wire_.memory().mutex());
  frame.ok = LocalError(wire_.memory(), requester.options.domain, request) == nullptr;
  if (frame.ok && request.opcode != Opcode::kRead) {
    frame.length = std::min(request.length - frame.offset, wire_.model().frame_bytes);
    frame.bytes = wire_.buffers().Take(frame.length);
    CopyBytes(frame.bytes.bytes.get(), stored.local() + frame.offset, frame.length);
  }
  const bool read = request.opcode == Opcode::kRead;
  frame.last = !frame.ok || read || frame.offset + frame.length == request.length;
  requester.sent_offset = frame.last ? 0 : frame.offset + frame.length;
  if (frame.last) ++requester.sent;
  if (read) ++requester.reads_out;
  return frame;
}

Flow::Frame TimedConnection::TakeAnswerFrame(End& responder) {
  Answer& answer = responder.unsent_answers.front();
  Flow::Frame frame{.request = answer.request, .offset = responder.answer_offset, .ok = answer.ok};
  frame.length = std::min(answer.length - frame.offset, wire_.model().frame_bytes);
  frame.last = frame.offset + frame.length == answer.length;
  if (frame.last && frame.offset == 0) {
    frame.bytes = std::move(answer.bytes);
  } else {
    frame.bytes = wire_.buffers().Take(frame.length);
    std::memcpy(frame.bytes.bytes.get(), answer.bytes.bytes.get() + frame.offset, frame.length);
  }
  responder.answer_offset = frame.last ? 0 : frame.offset + frame.length;
  if (frame.last) {
    wire_.buffers().Return(std::move(answer.bytes));
    responder.unsent_answers.pop_front();
  }
  return frame;
}

void TimedConnection::PushCompletion(int side, const Completion& completion, std::uint32_t retired) {
  end(side).completions.Push(completion, retired);
  if (wire_.observer() != nullptr) wire_.observer()->OnCompletion(number_, side);
}

void TimedConnection::Complete(int side, std::uint64_t number, CompletionStatus status) {
  End& self = end(side);
  const WorkRequest& request = Slot(self, number).request;
  self.answered = number + 1;
  if (!request.signaled) return;
  const auto retired = static_cast<std::uint32_t>(number + 1 - std::exchange(self.retired, number + 1));
  PushCompletion(side, {.id = request.id, .opcode = request.opcode, .status = status, .length = request.length},
                 retired);
}

}  // namespace farfault::sim
