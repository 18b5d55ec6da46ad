#include "lib/transport/tcp/frame_reader.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/transport/tcp/atomic_copy.h"
#include "lib/transport/tcp/frame_text.h"
#include "lib/util/device_access.h"

namespace farfault {

FrameReader::Result FrameReader::ReadOnce() {
  if (failure_.broken()) return Result::kEnded;
  const Result result = Receive();
  const bool received = result == Result::kMore || result == Result::kDrained;
  return received && !ParseBuffer() ? Result::kEnded : result;
}

FrameReader::Result FrameReader::Receive() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, buffered());
  end_ -= std::exchange(begin_, 0);
  std::array<iovec, 2> parts;
  std::size_t part_count = 0;
  MemoryTable::Lookup lookup;
  const bool bulk = shorts_since_long_ < kShortsUntilBuffered;
  const std::size_t room = (bulk ? kBytesBehindLongPayload : kBufferBytes) - end_;
  const std::uint64_t straight = std::min(payload_.left, call_size_.Next());
  if (straight > 0) {
    lookup =
        memory_.Find(payload_.key, reinterpret_cast<std::uint64_t>(payload_.target), payload_.left, payload_.access);
    if (lookup.refusal) {
      RefuseLocal(*lookup.refusal, payload_);
      return Result::kEnded;
    }
    parts[part_count++] = {payload_.target, straight};
  }
  // What follows the payload comes along only with its end.
  const std::uint64_t behind = straight == payload_.left ? room : 0;
  if (behind > 0) parts[part_count++] = {buffer_.data() + end_, behind};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = part_count;
  const ssize_t got = [&] {
    const DeviceAccess access;
    return recvmsg(socket_, &message, MSG_DONTWAIT);
  }();
  lookup.pin = {};
  if (got <= 0) return OnReceiveError(got == 0 ? 0 : errno);
  const auto bytes = static_cast<std::uint64_t>(got);
  bytes_received_ += bytes;
  const std::uint64_t landed = std::min(bytes, straight);
  payload_.target += landed;
  payload_.left -= landed;
  end_ += bytes - landed;
  if (landed == CallSize::kUrgent) GiveWay();
  if (straight > 0 && payload_.left == 0) Finish(payload_.header);
  return bytes < straight + behind ? Result::kDrained : Result::kMore;
}

// 0 stands for the end of the stream.
FrameReader::Result FrameReader::OnReceiveError(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK) return Result::kEmpty;
  if (error == EINTR) return Result::kMore;
  if (error == EFAULT) {
    failure_.Break(absl::StatusCode::kInvalidArgument,
                   "registered memory that the peer's bytes are for is not mapped any more");
    return Result::kEnded;
  }
  // A failed send takes the socket's error away.
  if (error == 0) error = writer_.error();
  if (error == 0 || error == EPIPE) {
    failure_.Break(absl::StatusCode::kUnavailable, "the peer closed the connection");
  } else if (error == ETIMEDOUT) {
    failure_.Break(absl::StatusCode::kUnavailable,
                   "the peer has not answered for 20 s; it, or the network to it, is down");
  } else {
    failure_.Break(absl::StatusCode::kUnavailable,
                   fmt::format("the connection to the peer is lost: {}", std::strerror(error)));
  }
  return Result::kEnded;
}

bool FrameReader::ParseBuffer() {
  while (payload_.left == 0) {
    const Parsed parsed = ParseFrame();
    if (parsed == Parsed::kBroken) return false;
    if (parsed == Parsed::kIncomplete) return true;
  }
  return true;
}

FrameReader::Parsed FrameReader::ParseFrame() {
  FrameHeader header;
  if (buffered() < sizeof(header)) return Parsed::kIncomplete;
  std::memcpy(&header, buffer_.data() + begin_, sizeof(header));
  if (header.reserved != 0 || header.reserved2 != 0 || header.flags > FrameHeader::kWantsProgress) {
    return Malformed(header);
  }
  const bool has_payload = header.type != FrameType::kRead && header.type != FrameType::kProgress;
  const bool in_buffer = has_payload && header.length <= kShortPayload;
  if (buffered() < sizeof(header) + (in_buffer ? header.length : 0)) return Parsed::kIncomplete;
  begin_ += sizeof(header);
  switch (header.type) {
    case FrameType::kWrite:
      return OnWrite(header);
    case FrameType::kRead:
      return OnRead(header);
    case FrameType::kSend:
      return OnSend(header);
    case FrameType::kReadResponse:
      return OnReadResponse(header);
    case FrameType::kProgress:
      return OnProgress(header);
    case FrameType::kRefusal:
      return OnRefusal(header);
  }
  return Malformed(header);
}

FrameReader::Parsed FrameReader::OnWrite(const FrameHeader& header) {
  return TakePayload({.header = header,
                      .target = reinterpret_cast<std::byte*>(header.number),
                      .left = header.length,
                      .key = header.key,
                      .access = RemoteAccess::kWrite});
}

FrameReader::Parsed FrameReader::OnRead(const FrameHeader& header) {
  AnswerQueue& answers = queues_.answers;
  const std::uint64_t pushed = answers.reads_pushed.load(std::memory_order_relaxed);
  if (pushed - answers.reads_popped.load(std::memory_order_acquire) == AnswerQueue::kCapacity) return Malformed(header);
  AnswerQueue::ReadAnswer& answer = answers.reads[pushed];
  answer.header = {.type = FrameType::kReadResponse,
                   .length = header.length,
                   .number = answers.executed.load(std::memory_order_relaxed)};
  const auto* source = reinterpret_cast<const std::byte*>(header.number);
  answer.source = nullptr;
  answer.key = header.key;
  if (header.length > 0) {
    const MemoryTable::Lookup lookup = memory_.Find(header.key, header.number, header.length, RemoteAccess::kRead);
    if (lookup.refusal) return Refuse(*lookup.refusal, header);
    if (header.length == 1) {
      LoadAtomically<std::uint8_t>(answer.inline_bytes.data(), source);
    } else if (IsAtomicAccess(header.number, header.length)) {
      LoadAtomically<std::uint64_t>(answer.inline_bytes.data(), source);
    } else if (header.length <= answer.inline_bytes.size()) {
      std::memcpy(answer.inline_bytes.data(), source, header.length);
    } else {
      answer.source = source;
    }
  }
  answers.reads_pushed.store(pushed + 1, std::memory_order_release);
  CountExecuted({.type = header.type});
  return Parsed::kFrame;
}

FrameReader::Parsed FrameReader::OnSend(const FrameHeader& header) {
  ReceiveQueue& receives = queues_.receives;
  const std::uint64_t filled = receives.filled.load(std::memory_order_relaxed);
  if (filled == receives.posted.load(std::memory_order_acquire)) return Malformed(header);
  const ReceiveQueue::Receive& receive = receives.entries[filled];
  if (header.length > receive.buffer.size()) return Refuse(Refusal::kTooLong, header);
  return TakePayload(
      {.header = header, .target = receive.buffer.data(), .left = header.length, .key = receive.local_key});
}

FrameReader::Parsed FrameReader::OnReadResponse(const FrameHeader& header) {
  const RequestQueue& requests = queues_.requests;
  const std::uint64_t completed = requests.completed.load(std::memory_order_relaxed);
  const bool known = header.number >= completed && header.number < requests.picked.load(std::memory_order_acquire);
  if (!known || !CompleteRequests(header.number)) return Malformed(header);
  const RequestQueue::Request& request = requests.entries[header.number];
  if (request.opcode != Opcode::kRead || request.header.length != header.length) return Malformed(header);
  return TakePayload({.header = header, .target = request.local, .left = header.length, .key = request.local_key});
}

FrameReader::Parsed FrameReader::OnProgress(const FrameHeader& header) {
  RequestQueue& requests = queues_.requests;
  const bool known = header.length == 0 && header.number >= requests.completed.load(std::memory_order_relaxed) &&
                     header.number <= requests.picked.load(std::memory_order_acquire);
  const std::uint32_t more = header.key - requests.credits.load(std::memory_order_relaxed);
  if (!known || more > std::uint32_t{1} << 31 || !CompleteRequests(header.number)) return Malformed(header);
  requests.credits.store(header.key, std::memory_order_release);
  return Parsed::kFrame;
}

FrameReader::Parsed FrameReader::OnRefusal(const FrameHeader& header) {
  if (header.length > kMaxRefusalText) return Malformed(header);
  failure_.RefusedByPeer(static_cast<Refusal>(header.key), header.number,
                         Printable(buffer_.data() + begin_, header.length));
  return Parsed::kBroken;
}

// Every request before `until` is done, except that READs are done only by their response. False: the peer skipped one.
bool FrameReader::CompleteRequests(std::uint64_t until) {
  RequestQueue& requests = queues_.requests;
  const std::uint64_t completed = requests.completed.load(std::memory_order_relaxed);
  for (std::uint64_t number = completed; number < until; ++number) {
    if (requests.entries[number].opcode == Opcode::kRead) return false;
  }
  if (until > completed) requests.completed.store(until, std::memory_order_release);
  return true;
}

FrameReader::Parsed FrameReader::TakePayload(const Payload& payload) {
  shorts_since_long_ = payload.left >= kLongPayload ? 0 : shorts_since_long_ + 1;
  if (payload.left == 0) return Finish(payload.header);
  const MemoryTable::Lookup lookup =
      memory_.Find(payload.key, reinterpret_cast<std::uint64_t>(payload.target), payload.left, payload.access);
  if (lookup.refusal) return RefuseLocal(*lookup.refusal, payload);
  const std::uint64_t here = std::min<std::uint64_t>(payload.left, buffered());
  CopyIn(payload.target, here, payload.left);
  if (here == payload.left) return Finish(payload.header);
  payload_ = payload;
  payload_.target += here;
  payload_.left -= here;
  return Parsed::kFrame;
}

void FrameReader::CopyIn(std::byte* target, std::uint64_t count, std::uint64_t total) {
  const std::byte* bytes = buffer_.data() + begin_;
  if (total == 1) {
    StoreAtomically<std::uint8_t>(target, bytes);
  } else if (IsAtomicAccess(reinterpret_cast<std::uint64_t>(target), total)) {
    StoreAtomically<std::uint64_t>(target, bytes);
  } else {
    const DeviceAccess access;
    std::memcpy(target, bytes, count);
  }
  begin_ += count;
}

// The payload is where it belongs.
FrameReader::Parsed FrameReader::Finish(const FrameHeader& header) {
  if (header.type == FrameType::kReadResponse) {
    RequestQueue& requests = queues_.requests;
    requests.reads_done.fetch_add(1, std::memory_order_release);
    requests.completed.store(header.number + 1, std::memory_order_release);
    return Parsed::kFrame;
  }
  if (header.type == FrameType::kSend) {
    ReceiveQueue& receives = queues_.receives;
    const std::uint64_t filled = receives.filled.load(std::memory_order_relaxed);
    receives.entries[filled].length = header.length;
    receives.filled.store(filled + 1, std::memory_order_release);
  }
  CountExecuted(header);
  return Parsed::kFrame;
}

void FrameReader::CountExecuted(const FrameHeader& header) {
  AnswerQueue& answers = queues_.answers;
  const std::uint64_t executed = answers.executed.load(std::memory_order_relaxed) + 1;
  answers.executed.store(executed, std::memory_order_release);
  if ((header.flags & FrameHeader::kWantsProgress) != 0) {
    answers.progress_wanted.store(executed, std::memory_order_release);
  }
}

FrameReader::Parsed FrameReader::Refuse(Refusal refusal, const FrameHeader& header) {
  const bool remote = header.type == FrameType::kWrite || header.type == FrameType::kRead;
  std::string text = fmt::format("{} of {} bytes", FrameName(header.type), header.length);
  if (remote) text += fmt::format(" at {:#x}, key {:#x}", header.number, header.key);
  failure_.Refuse({refusal, queues_.answers.executed.load(std::memory_order_relaxed),
                   fmt::format("{}: {}", text, RefusalText(refusal))});
  return Parsed::kBroken;
}

// The memory that a payload is for: the peer named it in a WRITE, otherwise this side did.
FrameReader::Parsed FrameReader::RefuseLocal(Refusal refusal, const Payload& payload) {
  if (payload.header.type == FrameType::kWrite) return Refuse(refusal, payload.header);
  const bool read = payload.header.type == FrameType::kReadResponse;
  failure_.Break(
      absl::StatusCode::kInvalidArgument,
      fmt::format("a {} posted here names local memory of {} bytes at {}, key {:#x}: {}", read ? "READ" : "receive",
                  payload.left, static_cast<const void*>(payload.target), payload.key, RefusalText(refusal)),
      read ? payload.header.number : ChannelFailure::kNoRequest);
  return Parsed::kBroken;
}

}  // namespace farfault
