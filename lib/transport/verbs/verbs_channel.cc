#include "lib/transport/verbs/verbs_channel.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "lib/transport/verbs/port_trouble.h"
#include "lib/transport/verbs/verbs_error.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

using std::chrono::milliseconds;

// Numbers of work requests carry which queue they are for.
constexpr std::uint64_t kReceiveBit = std::uint64_t{1} << 63;
constexpr std::uint64_t kQuestion = std::uint64_t{1} << 62;

constexpr int kEntriesPerCall = 32;
constexpr int kCallsPerPoll = 4;

// A queue pair in the error state is reminded of what it has not given back after each of these, and then destroyed.
constexpr milliseconds kUrgeAfter{20};
constexpr int kMostUrges = 100;

}  // namespace

absl::StatusOr<std::unique_ptr<VerbsChannel>> VerbsChannel::Create(std::unique_ptr<CmId> id, QueuePair queue_pair,
                                                                   std::string who) {
  absl::StatusOr<CompletionWait> wait = CompletionWait::Create(queue_pair);
  if (!wait.ok()) return wait.status();
  return std::unique_ptr<VerbsChannel>(
      new VerbsChannel(std::move(id), std::move(queue_pair), std::move(who), *std::move(wait)));
}

VerbsChannel::VerbsChannel(std::unique_ptr<CmId> id, QueuePair queue_pair, std::string who, CompletionWait wait)
    : failure_(std::move(who)),
      id_(std::move(id)),
      device_((*id_)->verbs),
      parts_(std::move(queue_pair)),
      wait_(std::move(wait)),
      requests_(parts_.send_slots),
      receives_(parts_.receive_slots),
      chain_(parts_),
      silence_(Clock::now()) {
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
  wait_.AcknowledgeAll();
}

absl::Status VerbsChannel::MakeReady(std::optional<ReadDepth> depth, std::optional<ibv_mtu> peers_mtu) {
  if (absl::Status ready = farfault::MakeReady(parts_.queue_pair.get(), *id_, depth, peers_mtu); !ready.ok()) {
    return ready;
  }
  const absl::StatusOr<ConnectionProperties> properties = PropertiesOf(parts_.queue_pair.get());
  if (!properties.ok()) return properties.status();
  properties_ = *properties;
  return absl::OkStatus();
}

ChannelLimits VerbsChannel::limits() const {
  return {.send_slots = parts_.send_slots,
          .receive_slots = parts_.receive_slots,
          .max_outstanding_reads = properties_.max_outstanding_reads,
          .inline_bytes = chain_.inline_bytes(),
          .mtu = properties_.mtu_bytes};
}

std::string VerbsChannel::path() const {
  std::string path = fmt::format("RDMA device {}, port {}, GID {}", ibv_get_device_name(device_->device),
                                 properties_.port, properties_.gid);
  if (properties_.traffic_class != 0) path += fmt::format(", traffic class {}", properties_.traffic_class);
  return path;
}

void VerbsChannel::Close() {
  if (!failure_.broken()) closed_.store(true, std::memory_order_relaxed);
  Break({absl::StatusCode::kCancelled, "it was closed here"});
}

void VerbsChannel::Break(const Failure& failure) {
  // Of a peer that cannot be reached this end may know why.
  const bool asks = failure.code == absl::StatusCode::kUnavailable && !failure_.broken();
  if (!failure_.Record(failure, asks ? PortTrouble(device_, properties_.port) : "")) return;
  Disconnect();
  // The owner may sleep with nothing posted.
  wait_.Wake();
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
      Break(EventFailure(event.event, event.status, ibv_get_device_name(device_->device)));
      break;
    default:
      Break(EventFailure(event.event, event.status, ibv_get_device_name(device_->device)));
  }
}

void VerbsChannel::OnQueuePairEvent(ibv_event_type event) { Break(EventFailure(event)); }

PostResult VerbsChannel::Post(std::span<const WorkRequest> chain) {
  if (failure_.broken()) return PostResult::kBroken;
  if (!requests_.HasRoom(chain.size())) return PostResult::kFull;
  if (chain.empty()) return PostResult::kOk;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (const char* fault = chain_.Fill(i, chain[i], requests_.next() + i)) {
      Break({absl::StatusCode::kInvalidArgument, fmt::format("request {} of a chain {}", i, fault)});
      return PostResult::kBroken;
    }
  }
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (requests_.Add(chain[i].id, chain[i].opcode, chain[i].signaled)) chain_.AskToSpeak(i);
  }
  return Hand(chain.size()) ? PostResult::kOk : PostResult::kBroken;
}

// One call and one doorbell for the whole chain.
bool VerbsChannel::Hand(std::size_t count) {
  ibv_send_wr* refused = nullptr;
  const int error = ibv_post_send(parts_.queue_pair.get(), chain_.Link(count), &refused);
  if (error == 0) return true;
  const std::size_t taken = refused == nullptr ? 0 : chain_.IndexOf(refused);
  requests_.TakeBack(count - taken);
  requests_.Silence(requests_.next() - taken);
  Break({absl::StatusCode::kInternal,
         fmt::format("the device refuses a request: {}{}", std::strerror(error), HintOf(error))});
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
  if (number == kQuestion) silence_.Answered();
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
    if (count > 0) silence_.Hear();
    for (int j = 0; j < count; ++j) TakeCompletion(entries[static_cast<std::size_t>(j)]);
    if (count < kEntriesPerCall) break;
  }
}

std::size_t VerbsChannel::Poll(std::span<Completion> out) {
  wait_.Settle();
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
  silence_.Answered();
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

void VerbsChannel::AskPeer() {
  if (!silence_.MustAsk(Clock::now())) return;
  // A WRITE of nothing needs no memory at either end.
  ibv_send_wr question{};
  question.wr_id = kQuestion;
  question.opcode = IBV_WR_RDMA_WRITE;
  question.send_flags = IBV_SEND_SIGNALED;
  ibv_send_wr* refused = nullptr;
  if (ibv_post_send(parts_.queue_pair.get(), &question, &refused) != 0) silence_.Answered();
}

bool VerbsChannel::PrepareToSleep() {
  if (const int error = wait_.Arm(); error != 0) {
    Break({absl::StatusCode::kInternal, fmt::format("completions cannot be waited for: {}", std::strerror(error))});
    return false;
  }
  TakeCompletions();
  if (requests_.has_news() || receives_.has_news()) return false;
  if (failure_.broken()) return !Unsettled();
  AskPeer();
  return true;
}

WaitHandle VerbsChannel::wait_handle() const { return wait_.handle(); }

// When a silent peer is to be asked; its answer, or that there is none, wakes by itself.
Deadline VerbsChannel::next_event() const {
  const auto when = silence_.when();
  if (!when || failure_.broken()) return Deadline::Never();
  return Deadline::At(*when);
}

}  // namespace farfault
