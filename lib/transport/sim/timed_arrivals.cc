#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/transport/sim/copy_bytes.h"
#include "lib/transport/sim/timed_connection.h"

// What a timed connection does with the frames that have arrived.
namespace farfault::sim {

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
  // The receive completes when the channel breaks: with the refusal's arrival at the requester.
  if (!fits) return Refuse(1 - side, frame.request);
  if (!Land(end(side).requests, frame, receive->buffer.data() + frame.offset)) return false;
  if (!frame.last) return true;
  PushCompletion(
      1 - side,
      {.id = receive->id, .opcode = Opcode::kReceive, .status = CompletionStatus::kOk, .length = request.length}, 0);
  responder.receives.TakeFront();
  return Executed(side, request, frame.request);
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
    MarkBroken(
        absl::InternalError(fmt::format("request {} on sim channel \"{}\" is not allowed: key, range, access or size",
                                        frame.request, requester.options.name)));
    Complete(requester_side, frame.request, CompletionStatus::kError);
    FlushBoth();
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

}  // namespace farfault::sim
