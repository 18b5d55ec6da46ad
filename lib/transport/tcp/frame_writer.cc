#include "lib/transport/tcp/frame_writer.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/util/device_access.h"

namespace farfault {

void FrameWriter::Flush() {
  if (turn_.exchange(Turn::kTakenLookAgain, std::memory_order_acq_rel) != Turn::kFree) return;
  Turn expected;
  do {
    // An exchange, so that what others queued before they left word is seen.
    turn_.exchange(Turn::kTaken, std::memory_order_acq_rel);
    WriteSome();
    expected = Turn::kTaken;
  } while (!turn_.compare_exchange_strong(expected, Turn::kFree, std::memory_order_acq_rel));
}

bool FrameWriter::OwesCredits() const {
  const ReceiveQueue& receives = queues_.receives;
  const std::uint64_t posted = receives.posted.load(std::memory_order_acquire);
  const std::uint64_t untold = posted - credits_told_.load(std::memory_order_relaxed);
  // As long as less than half of the free buffers are news, the peer has some left.
  return untold > 0 && 2 * untold >= posted - receives.filled.load(std::memory_order_acquire);
}

void FrameWriter::WriteSome() {
  do {
    if (closed_ || (failure_.broken() && !StopRequests())) return;
    Pick();
    if (count_ == 0) {
      blocked_.store(false, std::memory_order_release);
      if (notice_picked_) CloseOutput();
      return;
    }
  } while (Send());
}

void FrameWriter::CloseOutput() {
  closed_ = true;
  count_ = 0;
  blocked_.store(false, std::memory_order_release);
  // Fails only when the peer has gone already.
  static_cast<void>(shutdown(socket_, SHUT_WR));
}

// The channel is broken: no request goes out any more, and from here on the buffers of requests are not touched. What
// is left to send are answers and the reason. False: nothing at all.
bool FrameWriter::StopRequests() {
  const bool begun = count_ > 0 && first_sent_ > 0;
  if (failure_.notice() == nullptr || (begun && FrameAt(0).kind == Kind::kRequest)) {
    CloseOutput();
    return false;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    Frame& frame = FrameAt(i);
    const bool keep = frame.kind == Kind::kReadAnswer || frame.kind == Kind::kNotice || (i == 0 && begun);
    if (!keep) continue;
    if (kept != i) {
      const bool own = frame.head == reinterpret_cast<const std::byte*>(&frame.own_header);
      FrameAt(kept) = frame;
      if (own) FrameAt(kept).head = reinterpret_cast<const std::byte*>(&FrameAt(kept).own_header);
    }
    ++kept;
  }
  count_ = kept;
  return true;
}

FrameWriter::Frame& FrameWriter::Append(Kind kind) {
  Frame& frame = FrameAt(count_++);
  frame.kind = kind;
  frame.head_length = sizeof(FrameHeader);
  frame.body = nullptr;
  frame.body_length = 0;
  if (kind == Kind::kProgress || kind == Kind::kNotice) {
    frame.head = reinterpret_cast<const std::byte*>(&frame.own_header);
  }
  return frame;
}

void FrameWriter::Pick() {
  // Before the answers are looked at: those of the READs that this number counts are then among them.
  const std::uint64_t executed = queues_.answers.executed.load(std::memory_order_acquire);
  if (!answers_stopped_) PickReadAnswers();
  if (!answers_stopped_ && reads_answered_ != queues_.answers.reads_pushed.load(std::memory_order_acquire)) {
    // No room for all of them: requests still get their half, but nothing that vouches for those answers.
    if (!failure_.broken()) PickRequests();
    return;
  }
  if (failure_.broken()) {
    const ChannelFailure::Notice* notice = failure_.notice();
    if (notice != nullptr && !notice_picked_) PickNotice(*notice);
    return;
  }
  PickProgress(executed);
  PickRequests();
}

// Answers take half of the frames at most, so that neither they nor the requests starve.
void FrameWriter::PickReadAnswers() {
  AnswerQueue& answers = queues_.answers;
  const std::uint64_t pushed = answers.reads_pushed.load(std::memory_order_acquire);
  for (; reads_answered_ < pushed && count_ < kFrames / 2; ++reads_answered_) {
    const AnswerQueue::ReadAnswer& answer = answers.reads[reads_answered_];
    Frame& frame = Append(Kind::kReadAnswer);
    frame.head = reinterpret_cast<const std::byte*>(&answer.header);
    frame.number = answer.header.number;
    if (answer.source == nullptr) {
      frame.head_length += answer.header.length;
    } else {
      frame.body = answer.source;
      frame.body_length = answer.header.length;
      frame.key = answer.key;
    }
    progress_told_ = std::max(progress_told_, answer.header.number + 1);
  }
}

void FrameWriter::PickProgress(std::uint64_t executed) {
  const bool wanted = queues_.answers.progress_wanted.load(std::memory_order_acquire) > progress_told_;
  if ((!wanted && !OwesCredits()) || count_ == kFrames) return;
  const std::uint64_t posted = queues_.receives.posted.load(std::memory_order_acquire);
  Frame& frame = Append(Kind::kProgress);
  // An answer that was queued after the count had been read has told more, and the peer takes no step back.
  progress_told_ = std::max(progress_told_, executed);
  frame.own_header = {
      .type = FrameType::kProgress, .number = progress_told_, .key = static_cast<std::uint32_t>(posted)};
  credits_told_.store(posted, std::memory_order_relaxed);
}

void FrameWriter::PickRequests() {
  RequestQueue& requests = queues_.requests;
  const std::uint64_t posted = requests.posted.load(std::memory_order_acquire);
  std::uint64_t picked = requests.picked.load(std::memory_order_relaxed);
  for (; picked < posted && count_ < kFrames; ++picked) {
    const RequestQueue::Request& request = requests.entries[picked];
    if (request.opcode == Opcode::kRead) {
      if (reads_picked_ - requests.reads_done.load(std::memory_order_acquire) == kTcpOutstandingReads) break;
      ++reads_picked_;
    } else if (request.opcode == Opcode::kSend) {
      if (sends_picked_ == requests.credits.load(std::memory_order_acquire)) break;
      ++sends_picked_;
    }
    Frame& frame = Append(Kind::kRequest);
    frame.head = reinterpret_cast<const std::byte*>(&request.header);
    frame.number = picked;
    if (request.inline_data) {
      frame.head_length += request.header.length;
    } else if (request.opcode != Opcode::kRead && request.header.length > 0) {
      frame.body = request.local;
      frame.body_length = request.header.length;
      frame.key = request.local_key;
    }
  }
  // Before the frames go out, so that the reader knows of every request that the peer can know of.
  requests.picked.store(picked, std::memory_order_release);
}

void FrameWriter::PickNotice(const ChannelFailure::Notice& notice) {
  if (count_ == kFrames) return;
  const std::size_t text = std::min<std::size_t>(notice.text.size(), kMaxRefusalText);
  Frame& frame = Append(Kind::kNotice);
  frame.own_header = {.type = FrameType::kRefusal,
                      .length = static_cast<std::uint32_t>(text),
                      .number = notice.request,
                      .key = static_cast<std::uint32_t>(notice.refusal)};
  frame.body = reinterpret_cast<const std::byte*>(notice.text.data());
  frame.body_length = text;
  notice_picked_ = true;
}

void FrameWriter::Gather::Add(const std::byte* data, std::uint64_t length, std::uint64_t& skip) {
  const std::uint64_t skipped = std::min(skip, length);
  skip -= skipped;
  const std::uint64_t taken = std::min(length - skipped, room);
  if (taken == 0) return;
  room -= taken;
  parts[part_count++] = {const_cast<std::byte*>(data + skipped), taken};
}

bool FrameWriter::PinBody(Gather& gather, const Frame& frame, std::uint64_t already_sent) {
  const auto address = reinterpret_cast<std::uint64_t>(frame.body);
  const RemoteAccess needed = frame.kind == Kind::kReadAnswer ? RemoteAccess::kRead : RemoteAccess::kNone;
  const bool same = gather.pin_count > 0 && gather.pinned_key == frame.key;
  if (same && gather.pins[gather.pin_count - 1].Covers(address, frame.body_length, needed)) return true;
  if (gather.pin_count == gather.pins.size()) return false;
  MemoryTable::Lookup lookup = memory_.Find(frame.key, address, frame.body_length, needed);
  if (lookup.refusal) {
    // What comes before it goes out first.
    if (gather.part_count == 0) RefuseBody(frame, *lookup.refusal, already_sent > 0);
    return false;
  }
  gather.pins[gather.pin_count++] = std::move(lookup.pin);
  gather.pinned_key = frame.key;
  return true;
}

void FrameWriter::RefuseBody(const Frame& frame, Refusal refusal, bool begun) {
  const std::string what = fmt::format("{} bytes at {}, key {:#x}: {}", frame.body_length,
                                       static_cast<const void*>(frame.body), frame.key, RefusalText(refusal));
  if (failure_.broken()) {
    CloseOutput();
  } else if (frame.kind == Kind::kRequest) {
    failure_.Break(absl::StatusCode::kInvalidArgument,
                   fmt::format("a request posted here names local memory of {}", what), frame.number);
  } else if (begun) {
    failure_.Break(absl::StatusCode::kPermissionDenied,
                   fmt::format("memory was withdrawn while the peer read {}", what));
  } else {
    failure_.Refuse({refusal, frame.number, fmt::format("READ of {}", what)});
    count_ = 0;
    answers_stopped_ = true;
  }
}

// False: nothing can be sent now because the first frame's memory was refused.
bool FrameWriter::GatherFrames(Gather& gather) {
  std::uint64_t skip = first_sent_;
  gather.room = call_size_.Next();
  for (std::size_t i = 0; i < count_ && gather.room > 0; ++i) {
    const Frame& frame = FrameAt(i);
    const bool registered = frame.body != nullptr && frame.kind != Kind::kNotice;
    if (registered && !PinBody(gather, frame, i == 0 ? first_sent_ : 0)) break;
    gather.Add(frame.head, frame.head_length, skip);
    gather.Add(frame.body, frame.body_length, skip);
  }
  return gather.part_count > 0;
}

bool FrameWriter::Send() {
  Gather gather;
  if (!GatherFrames(gather)) return true;
  msghdr message{};
  message.msg_iov = gather.parts.data();
  message.msg_iovlen = gather.part_count;
  const ssize_t sent = [&] {
    const DeviceAccess access;
    return sendmsg(socket_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  }();
  if (sent < 0) return OnSendError(errno);
  Consume(static_cast<std::uint64_t>(sent));
  if (sent == CallSize::kUrgent) GiveWay();
  return true;
}

bool FrameWriter::OnSendError(int error) {
  if (error == EINTR) return true;
  if (error == EAGAIN || error == EWOULDBLOCK) {
    blocked_.store(true, std::memory_order_release);
    return false;
  }
  if (error == EFAULT) {
    failure_.Break(absl::StatusCode::kInvalidArgument, "registered memory that was to be sent is not mapped any more",
                   FrameAt(0).kind == Kind::kRequest ? FrameAt(0).number : ChannelFailure::kNoRequest);
    return true;
  }
  // The peer is gone, but what it said before may still wait in the socket: the reader comes to the end by itself.
  error_.store(error, std::memory_order_release);
  CloseOutput();
  return false;
}

void FrameWriter::Consume(std::uint64_t bytes) {
  while (count_ > 0) {
    const Frame& frame = FrameAt(0);
    const std::uint64_t left = frame.length() - first_sent_;
    if (bytes < left) {
      first_sent_ += bytes;
      return;
    }
    bytes -= left;
    first_sent_ = 0;
    if (frame.kind == Kind::kReadAnswer) queues_.answers.reads_popped.fetch_add(1, std::memory_order_release);
    first_ = (first_ + 1) % kFrames;
    --count_;
  }
}

}  // namespace farfault
