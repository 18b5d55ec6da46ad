#include "lib/transport/sim/timed_connection.h"

#include <fmt/format.h>

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
  failure_ = reason;
  broken_.store(true, std::memory_order_release);
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

void TimedConnection::Arrive(Flow& flow) {
  flow.scheduled = false;
  while (!flow.frames.empty() && !flow.starved) {
    Flow::Frame& frame = flow.frames.front();
    if (std::max(frame.arrival, flow.stalled_until) > wire_.now()) break;
    wire_.Trace(static_cast<std::uint64_t>(wire_.now()) ^ number_ << 48 ^ frame.request << 16 ^ frame.offset);
    const bool done = flow.answers ? ArriveAnswer(flow.side, frame) : ArriveRequest(flow.side, frame);
    if (broken()) return;
    if (!done) continue;
    wire_.buffers().Return(std::move(frame.bytes));
    flow.frames.pop_front();
  }
  wire_.ScheduleArrival(&flow);
}

bool TimedConnection::ArriveRequest(int side, Flow::Frame& frame) {
  if (end(1 - side).refuses) return true;
  const WorkRequest& request = Slot(end(side), frame.request).request;
  if (!frame.ok) return Refuse(1 - side, frame.request);
  switch (request.opcode) {
    case Opcode::kWrite:
      return ArriveWrite(side, request, frame);
    case Opcode::kRead:
      return ArriveRead(side, request, frame);
    default:
      return ArriveSend(side, request, frame);
  }
}

void TimedConnection::Put(std::byte* to, const std::byte* from, std::uint64_t length) {
  CopyBytes(to, from, length);
  if (wire_.observer() != nullptr && length > 0) wire_.observer()->OnLanded(to, length);
}

bool TimedConnection::Land(Flow& flow, Flow::Frame& frame, std::byte* to) {
  const Nanos spread = wire_.model().landing_spread;
  if (spread > 0 && !frame.landed_before && frame.length > sizeof(std::uint64_t) && wire_.random().OneIn(3)) {
    const std::uint64_t cut = wire_.random().Between(1, frame.length - 1);
    const std::uint64_t from = wire_.random().OneIn(2) ? cut : 0;
    Put(to + from, frame.bytes.bytes.get() + from, from > 0 ? frame.length - cut : cut);
    frame.landed_before = true;
    flow.stalled_until =
        wire_.now() + static_cast<Nanos>(wire_.random().Between(1, static_cast<std::uint64_t>(spread)));
    return false;
  }
  Put(to, frame.bytes.bytes.get(), frame.length);
  return true;
}

bool TimedConnection::Executed(int requester_side, const WorkRequest& request, std::uint64_t number) {
  if (wire_.observer() != nullptr) wire_.observer()->OnExecuted(Describe(requester_side, number, request));
  if (request.signaled) SendAnswer(1 - requester_side, {.request = number});
  return true;
}

bool TimedConnection::ArriveWrite(int side, const WorkRequest& request, Flow::Frame& frame) {
  End& responder = end(1 - side);
  if (request.length > 0) {
    const ReaderLock lock(&wire_.memory().mutex());
    std::byte* remote = wire_.memory().FindRemote(responder.options.domain, request.remote_key, request.remote_address,
                                                  request.length, RemoteAccess::kWrite);
    if (remote == nullptr) return Refuse(1 - side, frame.request);
    if (!Land(end(side).requests, frame, remote + frame.offset)) return false;
  }
  return !frame.last || Executed(side, request, frame.request);
}

bool TimedConnection::ArriveSend(int side, const WorkRequest& request, Flow::Frame& frame) {
  End& responder = end(1 - side);
  const PostedReceive* receive = responder.receives.front();
  if (receive == nullptr) {
    end(side).requests.starved = true;
    return false;
  }
  const ReaderLock lock(&wire_.memory().mutex());
  const bool fits = request.length <= receive->buffer.size() &&
                    (request.length == 0 || wire_.memory().ContainsLocal(responder.options.domain, receive->local_key,
                                                                         receive->buffer.data(), request.length));
  if (fits && !Land(end(side).requests, frame, receive->buffer.data() + frame.offset)) return false;
  if (fits && !frame.last) return true;
  PushCompletion(1 - side,
                 {.id = receive->id,
                  .opcode = Opcode::kReceive,
                  .status = fits ? CompletionStatus::kOk : CompletionStatus::kError,
                  .length = fits ? request.length : 0},
                 0);
  responder.receives.TakeFront();
  return fits ? Executed(side, request, frame.request) : Refuse(1 - side, frame.request);
}

bool TimedConnection::ArriveRead(int side, const WorkRequest& request, const Flow::Frame& frame) {
  End& requester = end(side);
  Answer answer{.request = frame.request, .length = request.length, .bytes = wire_.buffers().Take(request.length)};
  if (request.length > 0) {
    const ReaderLock lock(&wire_.memory().mutex());
    const std::byte* remote = wire_.memory().FindRemote(end(1 - side).options.domain, request.remote_key,
                                                        request.remote_address, request.length, RemoteAccess::kRead);
    if (remote == nullptr) return Refuse(1 - side, frame.request);
    CopyBytes(answer.bytes.bytes.get(), remote, request.length);
    const bool early =
        wire_.model().landing_spread > 0 && request.length > sizeof(std::uint64_t) && wire_.random().OneIn(4);
    if (early && LocalError(wire_.memory(), requester.options.domain, request) == nullptr) {
      Put(request.local, answer.bytes.bytes.get(), wire_.random().Between(1, request.length));
    }
  }
  SendAnswer(1 - side, std::move(answer));
  return true;
}

void TimedConnection::SendAnswer(int responder_side, Answer answer) {
  End& responder = end(responder_side);
  responder.unsent_answers.push_back(std::move(answer));
  wire_.StartSending(responder.link, &responder.answers);
}

bool TimedConnection::Refuse(int responder_side, std::uint64_t request) {
  end(responder_side).refuses = true;
  SendAnswer(responder_side, {.request = request, .ok = false});
  return true;
}

bool TimedConnection::ArriveAnswer(int side, Flow::Frame& frame) {
  // Answers travel from the responder, `side`, to the requester.
  const int requester_side = 1 - side;
  End& requester = end(requester_side);
  const WorkRequest& request = Slot(requester, frame.request).request;
  if (!frame.ok) {
    Complete(requester_side, frame.request, CompletionStatus::kError);
    Break(absl::InternalError(fmt::format("request {} on sim channel \"{}\" is not allowed: key, range, access or size",
                                          frame.request, requester.options.name)));
    return true;
  }
  const bool read = request.opcode == Opcode::kRead;
  if (read && frame.length > 0) {
    const ReaderLock lock(&wire_.memory().mutex());
    if (LocalError(wire_.memory(), requester.options.domain, request) != nullptr) {
      frame.ok = false;
      return false;
    }
    if (!Land(end(side).answers, frame, request.local + frame.offset)) return false;
  }
  if (!frame.last) return true;
  if (read) {
    if (wire_.observer() != nullptr) wire_.observer()->OnExecuted(Describe(requester_side, frame.request, request));
    --requester.reads_out;
    wire_.StartSending(requester.link, &requester.requests);
  }
  Complete(requester_side, frame.request, CompletionStatus::kOk);
  return true;
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
