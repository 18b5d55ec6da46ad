#include "lib/transport/tcp/tcp_channel.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/transport/channel_slots.h"
#include "lib/transport/tcp/bulk_spin.h"
#include "lib/transport/tcp/tcp_socket.h"
#include "lib/util/monotonic_clock.h"
#include "lib/util/start_thread.h"

namespace farfault {
namespace {

// Bytes come in pieces of up to a few hundred kilobytes; the owner of a polled channel has other things to do as well.
constexpr int kReadsPerPoll = 4;

FrameType FrameTypeOf(Opcode opcode) {
  switch (opcode) {
    case Opcode::kRead:
      return FrameType::kRead;
    case Opcode::kWrite:
      return FrameType::kWrite;
    case Opcode::kSend:
    case Opcode::kReceive:
      break;
  }
  return FrameType::kSend;
}

// Programming errors that no key check would find. Null: sound.
const char* Fault(const WorkRequest& request) {
  if (request.opcode == Opcode::kReceive) return "is a receive, which PostReceive is for";
  if (!request.inline_data) return nullptr;
  if (request.opcode == Opcode::kRead) return "is a READ with inline data";
  return request.length > kTcpInlineBytes ? "has more inline data than ChannelLimits::inline_bytes" : nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Channel>> TcpChannel::Create(UniqueFd socket, std::string_view peer,
                                                            const ChannelOptions& options, MemoryTable& memory) {
  if (absl::Status slots = CheckSlots(options); !slots.ok()) return slots;
  if (absl::Status tuned = TuneChannelSocket(socket.get()); !tuned.ok()) return tuned;
  std::string who = fmt::format("channel '{}' with {}", options.name, peer);
  std::unique_ptr<TcpChannel> channel(new TcpChannel(std::move(socket), std::move(who), options, memory));
  if (options.service == Service::kThread) {
    if (absl::Status started = channel->StartThread(options.name); !started.ok()) return started;
  }
  return channel;
}

TcpChannel::TcpChannel(UniqueFd socket, std::string who, const ChannelOptions& options, MemoryTable& memory)
    : urgent_(options.urgent),
      spins_(options.spin),
      socket_(std::move(socket)),
      failure_(socket_.get(), std::move(who)),
      queues_(options.send_slots, options.receive_slots),
      writer_(socket_.get(), memory, queues_, failure_),
      reader_(socket_.get(), memory, queues_, failure_, writer_) {}

TcpChannel::~TcpChannel() {
  stop_serving_.store(true, std::memory_order_release);
  Close();
  if (thread_.joinable()) thread_.join();
}

void TcpChannel::Close() { failure_.Break(absl::StatusCode::kCancelled, "it was closed here"); }

ChannelLimits TcpChannel::limits() const {
  return {.send_slots = queues_.requests.capacity,
          .receive_slots = queues_.receives.capacity,
          .max_outstanding_reads = kTcpOutstandingReads,
          .inline_bytes = kTcpInlineBytes};
}

// Slots of unsignalled requests are free as soon as the peer vouches for them.
void TcpChannel::FreeSlots() {
  RequestQueue& requests = queues_.requests;
  const std::uint64_t completed = requests.completed.load(std::memory_order_acquire);
  while (requests.reaped < completed && !requests.entries[requests.reaped].signaled) ++requests.reaped;
}

PostResult TcpChannel::Post(std::span<const WorkRequest> chain) {
  if (failure_.broken()) return PostResult::kBroken;
  RequestQueue& requests = queues_.requests;
  const std::uint64_t posted = requests.posted.load(std::memory_order_relaxed);
  if (posted - requests.reaped + chain.size() > requests.capacity) {
    FreeSlots();
    if (posted - requests.reaped + chain.size() > requests.capacity) return PostResult::kFull;
  }
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const WorkRequest& work = chain[i];
    if (const char* fault = Fault(work)) {
      failure_.Break(absl::StatusCode::kInvalidArgument, fmt::format("request {} of a chain {}", i, fault));
      return PostResult::kBroken;
    }
    RequestQueue::Request& request = requests.entries[posted + i];
    // Without a signalled request for long, slots would run out and nothing would ever free them.
    const bool progress = work.signaled || ++quiet_requests_ > requests.capacity / 4;
    if (progress) quiet_requests_ = 0;
    request.header = {.type = FrameTypeOf(work.opcode),
                      .flags = progress ? FrameHeader::kWantsProgress : std::uint8_t{0},
                      .length = work.length,
                      .number = work.opcode == Opcode::kSend ? 0 : work.remote_address,
                      .key = work.opcode == Opcode::kSend ? 0 : work.remote_key};
    if (work.inline_data) std::memcpy(request.inline_bytes.data(), work.local, work.length);
    request.local = work.local;
    request.local_key = work.local_key;
    request.opcode = work.opcode;
    request.signaled = work.signaled;
    request.inline_data = work.inline_data;
    request.id = work.id;
  }
  if (urgent_) UrgentRequests::Note();
  requests.posted.store(posted + chain.size(), std::memory_order_release);
  writer_.Flush();
  return PostResult::kOk;
}

PostResult TcpChannel::PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) {
  if (failure_.broken()) return PostResult::kBroken;
  ReceiveQueue& receives = queues_.receives;
  const std::uint64_t posted = receives.posted.load(std::memory_order_relaxed);
  if (posted - receives.reaped == receives.capacity) return PostResult::kFull;
  receives.entries[posted] = {id, buffer, local_key, 0};
  receives.posted.store(posted + 1, std::memory_order_release);
  if (writer_.OwesCredits()) writer_.Flush();
  return PostResult::kOk;
}

std::size_t TcpChannel::ReapRequests(std::span<Completion> out) {
  RequestQueue& requests = queues_.requests;
  const bool ended = ended_.load(std::memory_order_acquire);
  const std::uint64_t completed = requests.completed.load(std::memory_order_acquire);
  const std::uint64_t end = ended ? requests.posted.load(std::memory_order_relaxed) : completed;
  std::size_t count = 0;
  for (; requests.reaped < end && count < out.size(); ++requests.reaped) {
    const RequestQueue::Request& request = requests.entries[requests.reaped];
    if (!request.signaled) continue;
    CompletionStatus status = CompletionStatus::kOk;
    if (requests.reaped >= completed) {
      const bool failed = requests.reaped == failure_.failed_request();
      status = failed ? CompletionStatus::kError : CompletionStatus::kFlushed;
    }
    out[count++] = {.id = request.id, .opcode = request.opcode, .status = status};
  }
  return count;
}

std::size_t TcpChannel::ReapReceives(std::span<Completion> out) {
  ReceiveQueue& receives = queues_.receives;
  const bool ended = ended_.load(std::memory_order_acquire);
  const std::uint64_t filled = receives.filled.load(std::memory_order_acquire);
  const std::uint64_t end = ended ? receives.posted.load(std::memory_order_relaxed) : filled;
  std::size_t count = 0;
  for (; receives.reaped < end && count < out.size(); ++receives.reaped) {
    const ReceiveQueue::Receive& receive = receives.entries[receives.reaped];
    const bool ok = receives.reaped < filled;
    out[count++] = {.id = receive.id,
                    .opcode = Opcode::kReceive,
                    .status = ok ? CompletionStatus::kOk : CompletionStatus::kFlushed,
                    .length = ok ? receive.length : 0};
  }
  return count;
}

std::size_t TcpChannel::Poll(std::span<Completion> out) {
  if (std::exchange(slept_, false)) {
    owner_sleeps_.store(false, std::memory_order_seq_cst);
    std::uint64_t wakes;
    // Nothing to read is as good: another event ended the sleep.
    static_cast<void>(read(wake_.get(), &wakes, sizeof(wakes)));
  }
  if (!thread_.joinable()) ProgressInline();
  // Neither kind can starve the other, however small `out` is.
  receives_first_ = !receives_first_;
  if (receives_first_) {
    const std::size_t count = ReapReceives(out);
    return count + ReapRequests(out.subspan(count));
  }
  const std::size_t count = ReapRequests(out);
  return count + ReapReceives(out.subspan(count));
}

void TcpChannel::ProgressInline() {
  if (!ended_.load(std::memory_order_relaxed)) {
    FrameReader::Result result = FrameReader::Result::kMore;
    for (int i = 0; i < kReadsPerPoll && result == FrameReader::Result::kMore; ++i) {
      result = reader_.ReadOnce();
      writer_.Flush();
    }
    if (result == FrameReader::Result::kEnded) ended_.store(true, std::memory_order_release);
  } else if (writer_.blocked()) {
    writer_.Flush();
  }
}

bool TcpChannel::HasCompletions() const {
  const RequestQueue& requests = queues_.requests;
  const ReceiveQueue& receives = queues_.receives;
  if (ended_.load(std::memory_order_seq_cst)) {
    return requests.reaped != requests.posted.load(std::memory_order_relaxed) ||
           receives.reaped != receives.posted.load(std::memory_order_relaxed);
  }
  return requests.reaped != requests.completed.load(std::memory_order_seq_cst) ||
         receives.reaped != receives.filled.load(std::memory_order_seq_cst);
}

bool TcpChannel::PrepareToSleep() {
  if (!thread_.joinable()) {
    return !HasCompletions() && !(failure_.broken() && !ended_.load(std::memory_order_relaxed));
  }
  slept_ = true;
  owner_sleeps_.store(true, std::memory_order_seq_cst);
  // Dekker with WakeOwner: either what is new is seen here, or the wish to be woken is seen there.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return !HasCompletions();
}

WaitHandle TcpChannel::wait_handle() const {
  if (thread_.joinable()) return {wake_.get(), POLLIN};
  const bool ended = ended_.load(std::memory_order_relaxed);
  const short output = writer_.blocked() ? POLLOUT : 0;
  // A socket that has ended is readable for ever.
  if (ended) return output != 0 ? WaitHandle{socket_.get(), output} : WaitHandle{};
  return {socket_.get(), static_cast<short>(POLLIN | output)};
}

void TcpChannel::WakeOwner() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!owner_sleeps_.load(std::memory_order_relaxed) || !owner_sleeps_.exchange(false, std::memory_order_seq_cst))
    return;
  const std::uint64_t one = 1;
  // The counter cannot overflow: it is raised once per sleep.
  static_cast<void>(write(wake_.get(), &one, sizeof(one)));
}

absl::Status TcpChannel::StartThread(std::string_view name) {
  wake_ = UniqueFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  if (!wake_.valid() || !epoll_.valid())
    return SocketError("a channel needs an eventfd and an epoll descriptor", errno);
  // Edge-triggered: room to write wakes the thread exactly when some send, by whichever thread, found the socket full.
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket_.get(), &event) != 0) {
    return SocketError("a channel's socket cannot be watched", errno);
  }
  absl::StatusOr<std::thread> thread = farfault::StartThread(fmt::format("ff-{}", name), [this] { Serve(); });
  if (!thread.ok()) return thread.status();
  thread_ = *std::move(thread);
  return absl::OkStatus();
}

void TcpChannel::Serve() {
  const MonotonicClock clock;
  BulkSpin spin(clock);
  std::uint64_t paid_for = 0;
  epoll_event event{};
  while (ServeOnce((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)) {
    event = {};
    spin.Earn(reader_.bytes_received() - std::exchange(paid_for, reader_.bytes_received()));
    if (spins_ && spin.Wait([&] { return WaitForEvent(event, 0); })) continue;
    WaitForEvent(event, -1);
  }
}

// False: none has come within the time.
bool TcpChannel::WaitForEvent(epoll_event& event, int milliseconds) {
  const int count = epoll_wait(epoll_.get(), &event, 1, milliseconds);
  if (count < 0 && errno != EINTR) {
    failure_.Break(absl::StatusCode::kInternal, fmt::format("epoll_wait failed: {}", std::strerror(errno)));
  }
  return count != 0;
}

// False: there is nothing left to wait for.
bool TcpChannel::ServeOnce(bool hung_up) {
  if (!ended_.load(std::memory_order_relaxed)) {
    FrameReader::Result result;
    // The end of the stream has no edge of its own when it came together with bytes.
    do {
      const std::uint64_t news = reader_.completions();
      result = reader_.ReadOnce();
      if (urgent_) UrgentRequests::Note();
      writer_.Flush();
      if (result == FrameReader::Result::kEnded) ended_.store(true, std::memory_order_seq_cst);
      if (result == FrameReader::Result::kEnded || reader_.completions() != news) WakeOwner();
    } while (result == FrameReader::Result::kMore || (hung_up && result == FrameReader::Result::kDrained));
    if (result != FrameReader::Result::kEnded) return true;
  } else {
    writer_.Flush();
  }
  return writer_.blocked() && !stop_serving_.load(std::memory_order_acquire);
}

}  // namespace farfault
