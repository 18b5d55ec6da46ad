#include "lib/transport/verbs/verbs_channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "lib/transport/verbs/verbs_error.h"

namespace farfault {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Numbers of work requests carry which queue they are for.
constexpr std::uint64_t kReceiveBit = std::uint64_t{1} << 63;
constexpr std::uint64_t kQuestion = std::uint64_t{1} << 62;

constexpr int kEntriesPerCall = 32;
constexpr int kCallsPerPoll = 4;
constexpr unsigned kAcknowledgeAfter = 64;

// A peer that says nothing for so long is asked whether it is still there.
constexpr seconds kSilence{5};
// A queue pair in the error state is reminded of what it has not given back after each of these, and then destroyed.
constexpr milliseconds kUrgeAfter{20};
constexpr int kMostUrges = 100;

ibv_wr_opcode OpcodeOf(Opcode opcode) {
  if (opcode == Opcode::kRead) return IBV_WR_RDMA_READ;
  return opcode == Opcode::kWrite ? IBV_WR_RDMA_WRITE : IBV_WR_SEND;
}

bool Watch(int epoll, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<VerbsChannel>> VerbsChannel::Create(std::unique_ptr<CmId> id, QueuePair queue_pair,
                                                                   std::string who) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const int completions = queue_pair.completion_channel->fd;
  const int flags = fcntl(completions, F_GETFL);
  const bool sound = epoll.valid() && wake.valid() && flags >= 0 &&
                     fcntl(completions, F_SETFL, flags | O_NONBLOCK) == 0 && Watch(epoll.get(), completions) &&
                     Watch(epoll.get(), wake.get());
  if (!sound) return RdmaError("a channel's completions cannot be waited for", errno);
  return std::unique_ptr<VerbsChannel>(
      new VerbsChannel(std::move(id), std::move(queue_pair), std::move(who), std::move(epoll), std::move(wake)));
}

VerbsChannel::VerbsChannel(std::unique_ptr<CmId> id, QueuePair queue_pair, std::string who, UniqueFd epoll,
                           UniqueFd wake)
    : failure_(std::move(who)),
      epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      id_(std::move(id)),
      parts_(std::move(queue_pair)),
      requests_(parts_.send_slots),
      receives_(parts_.receive_slots),
      chain_(parts_.send_slots),
      pieces_(parts_.send_slots),
      last_sign_of_life_(Clock::now()) {
  parts_.queue_pair->qp_context = static_cast<QueuePairHandler*>(this);
}

VerbsChannel::~VerbsChannel() {
  Close();
  while (Unsettled() && parts_.queue_pair != nullptr) {
    TakeCompletions();
    Urge();
    std::this_thread::yield();
  }
  DestroyQueuePair();
  if (unacknowledged_ > 0) ibv_ack_cq_events(parts_.completion_queue.get(), unacknowledged_);
}

absl::Status VerbsChannel::MakeReady(std::optional<ReadDepth> depth) {
  if (absl::Status ready = farfault::MakeReady(parts_.queue_pair.get(), *id_, depth); !ready.ok()) return ready;
  const absl::StatusOr<ConnectionProperties> properties = PropertiesOf(parts_.queue_pair.get());
  if (!properties.ok()) return properties.status();
  properties_ = *properties;
  return absl::OkStatus();
}

ChannelLimits VerbsChannel::limits() const {
  return {.send_slots = parts_.send_slots,
          .receive_slots = parts_.receive_slots,
          .max_outstanding_reads = properties_.max_outstanding_reads,
          .inline_bytes = std::max(parts_.device_inline_bytes, QueuePair::kInlineBytes)};
}

void VerbsChannel::Close() {
  if (!failure_.broken()) closed_.store(true, std::memory_order_relaxed);
  Break({absl::StatusCode::kCancelled, "it was closed here"});
}

void VerbsChannel::Break(const Failure& failure) {
  if (!failure_.Record(failure)) return;
  Disconnect();
  wake_pending_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  // The counter cannot overflow: it is raised once.
  static_cast<void>(!write(wake_.get(), &one, sizeof(one)));
}

// Fails where there is nothing to end any more.
void VerbsChannel::Disconnect() {
  const MutexLock lock(&ending_);
  if (id_ == nullptr) return;
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_ERR;
  static_cast<void>(ibv_modify_qp(parts_.queue_pair.get(), &attributes, IBV_QP_STATE));
  static_cast<void>(rdma_disconnect(id_->get()));
}

void VerbsChannel::OnCmEvent(const rdma_cm_event& event) {
  switch (event.event) {
    case RDMA_CM_EVENT_ESTABLISHED:
      // A connection that is not established yet cannot be ended, so a Close that was too early is made up for.
      if (failure_.broken()) Disconnect();
      break;
    case RDMA_CM_EVENT_ADDR_CHANGE:
    case RDMA_CM_EVENT_TIMEWAIT_EXIT:
      break;
    case RDMA_CM_EVENT_DISCONNECTED:
      // Answers the peer, too, if this side was closed at the same time.
      if (failure_.broken()) Disconnect();
      Break(EventFailure(event.event, event.status));
      break;
    default:
      Break(EventFailure(event.event, event.status));
  }
}

void VerbsChannel::OnQueuePairEvent(ibv_event_type event) { Break(EventFailure(event)); }

// Null: sound. Otherwise what is wrong, which no key check would find.
const char* VerbsChannel::Fill(const WorkRequest& request, std::size_t index) {
  if (request.opcode == Opcode::kReceive) return "is a receive, which PostReceive is for";
  ibv_send_wr& wr = chain_[index];
  ibv_sge& piece = pieces_[index];
  wr = {};
  piece = {reinterpret_cast<std::uint64_t>(request.local), request.length, request.local_key};
  wr.opcode = OpcodeOf(request.opcode);
  if (request.opcode != Opcode::kSend) {
    wr.wr.rdma.remote_addr = request.remote_address;
    wr.wr.rdma.rkey = request.remote_key;
  }
  wr.sg_list = &piece;
  wr.num_sge = request.length > 0 ? 1 : 0;
  if (!request.inline_data) return nullptr;
  if (request.opcode == Opcode::kRead) return "is a READ with inline data";
  if (request.length > limits().inline_bytes) return "has more inline data than ChannelLimits::inline_bytes";
  if (parts_.bounce == nullptr) {
    wr.send_flags = IBV_SEND_INLINE;
    return nullptr;
  }
  std::byte* const slot =
      parts_.bounce_bytes.data() + ((requests_.next() + index) % parts_.send_slots) * QueuePair::kInlineBytes;
  if (request.length > 0) std::memcpy(slot, request.local, request.length);
  piece.addr = reinterpret_cast<std::uint64_t>(slot);
  piece.lkey = parts_.bounce->lkey;
  return nullptr;
}

PostResult VerbsChannel::Post(std::span<const WorkRequest> chain) {
  if (failure_.broken()) return PostResult::kBroken;
  if (!requests_.HasRoom(chain.size())) return PostResult::kFull;
  if (chain.empty()) return PostResult::kOk;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (const char* fault = Fill(chain[i], i)) {
      Break({absl::StatusCode::kInvalidArgument, fmt::format("request {} of a chain {}", i, fault)});
      return PostResult::kBroken;
    }
  }
  for (std::size_t i = 0; i < chain.size(); ++i) {
    chain_[i].wr_id = requests_.next();
    chain_[i].next = i + 1 < chain.size() ? &chain_[i + 1] : nullptr;
    if (requests_.Add(chain[i].id, chain[i].opcode, chain[i].signaled)) chain_[i].send_flags |= IBV_SEND_SIGNALED;
  }
  return Hand(chain.size()) ? PostResult::kOk : PostResult::kBroken;
}

// One call and one doorbell for the whole chain.
bool VerbsChannel::Hand(std::size_t count) {
  ibv_send_wr* refused = nullptr;
  const int error = ibv_post_send(parts_.queue_pair.get(), chain_.data(), &refused);
  if (error == 0) return true;
  const auto taken = refused == nullptr ? 0 : static_cast<std::size_t>(refused - chain_.data());
  requests_.TakeBack(count - taken);
  requests_.Silence(requests_.next() - taken);
  Break({absl::StatusCode::kInternal, fmt::format("the device refuses a request: {}", std::strerror(error))});
  return false;
}

PostResult VerbsChannel::PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) {
  if (failure_.broken()) return PostResult::kBroken;
  if (!receives_.HasRoom(1)) return PostResult::kFull;
  ibv_sge piece{reinterpret_cast<std::uint64_t>(buffer.data()), static_cast<std::uint32_t>(buffer.size()), local_key};
  ibv_recv_wr wr{};
  wr.wr_id = receives_.next() | kReceiveBit;
  wr.sg_list = &piece;
  wr.num_sge = buffer.empty() ? 0 : 1;
  ibv_recv_wr* refused = nullptr;
  if (const int error = ibv_post_recv(parts_.queue_pair.get(), &wr, &refused); error != 0) {
    Break({absl::StatusCode::kInternal, fmt::format("the device refuses a receive: {}", std::strerror(error))});
    return PostResult::kBroken;
  }
  receives_.Add(id, Opcode::kReceive, true);
  return PostResult::kOk;
}

void VerbsChannel::TakeCompletion(const ibv_wc& entry) {
  const bool receive = (entry.wr_id & kReceiveBit) != 0;
  const std::uint64_t number = entry.wr_id & ~kReceiveBit;
  if (number == kQuestion) asked_ = false;
  RequestLedger& ledger = receive ? receives_ : requests_;
  if (entry.status == IBV_WC_SUCCESS) {
    if (number != kQuestion) ledger.Settle(number, Fate::kDone, receive ? entry.byte_len : 0);
    return;
  }
  const Opcode opcode = receive ? Opcode::kReceive : number == kQuestion ? Opcode::kWrite : requests_.opcode(number);
  Break(CompletionFailure(opcode, entry.status));
  if (number == kQuestion) return;
  // The peer's refusal may be overtaken by its hanging up, and SoftRoCE does not tell a request with a bad local key
  // from those behind it: so the first request that is lost has failed, unless it was this side that ended the channel.
  const bool flushed = entry.status == IBV_WC_WR_FLUSH_ERR && (receive || closed_.load(std::memory_order_relaxed));
  ledger.Settle(number, flushed ? Fate::kFlushed : Fate::kFailed);
}

void VerbsChannel::TakeCompletions() {
  std::array<ibv_wc, kEntriesPerCall> entries;
  for (int i = 0; i < kCallsPerPoll; ++i) {
    const int count = ibv_poll_cq(parts_.completion_queue.get(), kEntriesPerCall, entries.data());
    if (count < 0) Break({absl::StatusCode::kInternal, "the device's completion queue cannot be read"});
    heard_ = heard_ || count > 0;
    for (int j = 0; j < count; ++j) TakeCompletion(entries[static_cast<std::size_t>(j)]);
    if (count < kEntriesPerCall) break;
  }
}

// What made the sleep end is taken off the descriptors, or they would stay readable.
void VerbsChannel::WakeUp() {
  slept_ = false;
  ibv_cq* queue = nullptr;
  void* context = nullptr;
  if (ibv_get_cq_event(parts_.completion_channel.get(), &queue, &context) == 0) {
    armed_ = false;
    if (++unacknowledged_ >= kAcknowledgeAfter) {
      ibv_ack_cq_events(parts_.completion_queue.get(), std::exchange(unacknowledged_, 0));
    }
  }
  if (!wake_pending_.load(std::memory_order_relaxed)) return;
  wake_pending_.store(false, std::memory_order_relaxed);
  std::uint64_t wakes;
  static_cast<void>(!read(wake_.get(), &wakes, sizeof(wakes)));
}

std::size_t VerbsChannel::Poll(std::span<Completion> out) {
  if (slept_) WakeUp();
  TakeCompletions();
  if (failure_.broken() && Unsettled()) Urge();
  // Neither kind can starve the other, however small `out` is.
  receives_first_ = !receives_first_;
  RequestLedger& first = receives_first_ ? receives_ : requests_;
  RequestLedger& second = receives_first_ ? requests_ : receives_;
  const std::size_t count = first.Reap(out);
  return count + second.Reap(out.subspan(count));
}

// Only for channels that are broken. What was posted while another thread closed the channel, and everything of a
// device that has been removed, may never come back by itself.
void VerbsChannel::Urge() {
  if (parts_.queue_pair == nullptr) return;
  const Clock::time_point now = Clock::now();
  if (urged_ == 0) {
    urged_ = 1;
    urge_at_ = now + kUrgeAfter;
  }
  if (now < urge_at_) return;
  urge_at_ = now + kUrgeAfter;
  if (++urged_ <= kMostUrges) {
    ibv_qp_attr attributes{};
    attributes.qp_state = IBV_QPS_ERR;
    static_cast<void>(ibv_modify_qp(parts_.queue_pair.get(), &attributes, IBV_QP_STATE));
    return;
  }
  DestroyQueuePair();
  requests_.FlushAll();
  receives_.FlushAll();
  asked_ = false;
}

void VerbsChannel::DestroyQueuePair() {
  std::unique_ptr<CmId> id;
  {
    const MutexLock lock(&ending_);
    id = std::move(id_);
  }
  // Not under the lock: it waits for handlers that may want it.
  id.reset();
  parts_.queue_pair.reset();
}

// Whoever only waits would never learn that the peer's host has died.
void VerbsChannel::AskPeer() {
  const Clock::time_point now = Clock::now();
  if (std::exchange(heard_, false) || requests_.unsettled() > 0) last_sign_of_life_ = now;
  if (asked_ || now - last_sign_of_life_ < kSilence) return;
  last_sign_of_life_ = now;
  // A WRITE of nothing needs no memory at either end.
  ibv_send_wr question{};
  question.wr_id = kQuestion;
  question.opcode = IBV_WR_RDMA_WRITE;
  question.send_flags = IBV_SEND_SIGNALED;
  ibv_send_wr* refused = nullptr;
  asked_ = ibv_post_send(parts_.queue_pair.get(), &question, &refused) == 0;
}

bool VerbsChannel::PrepareToSleep() {
  slept_ = true;
  if (!armed_) {
    if (const int error = ibv_req_notify_cq(parts_.completion_queue.get(), 0); error != 0) {
      Break({absl::StatusCode::kInternal, fmt::format("completions cannot be waited for: {}", std::strerror(error))});
      return false;
    }
    armed_ = true;
  }
  TakeCompletions();
  if (requests_.has_news() || receives_.has_news()) return false;
  if (failure_.broken()) return !Unsettled();
  AskPeer();
  return true;
}

WaitHandle VerbsChannel::wait_handle() const { return {epoll_.get(), POLLIN}; }

// When a silent peer is to be asked; its answer, or that there is none, wakes by itself.
absl::Time VerbsChannel::next_event() const {
  if (asked_ || failure_.broken()) return absl::InfiniteFuture();
  return absl::Now() + absl::FromChrono(last_sign_of_life_ + kSilence - Clock::now());
}

}  // namespace farfault
