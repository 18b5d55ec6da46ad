#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_CHANNEL_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_CHANNEL_H_

#include <infiniband/verbs.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "lib/transport/transport.h"
#include "lib/transport/verbs/cm_events.h"
#include "lib/transport/verbs/cm_id.h"
#include "lib/transport/verbs/completion_wait.h"
#include "lib/transport/verbs/queue_pair.h"
#include "lib/transport/verbs/request_ledger.h"
#include "lib/transport/verbs/send_chain.h"
#include "lib/transport/verbs/silence.h"
#include "lib/transport/verbs/verbs_failure.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// One reliable-connected queue pair. The peer's one-sided requests are executed by the device, so both kinds of
/// service are the same.
///
/// The order that the header promises is that of reliable connections (InfiniBand Architecture, 10.8.3.3): no request
/// asks for a fence. Requests behind a READ do not wait for it, and a READ whose answer was lost is executed once more.
class VerbsChannel final : public Channel, private CmEventHandler, private QueuePairHandler {
 public:
  /// `id` has been asked to connect neither way yet. `who` begins every message.
  static absl::StatusOr<std::unique_ptr<VerbsChannel>> Create(std::unique_ptr<CmId> id, QueuePair queue_pair,
                                                              std::string who);
  /// In two phases: the queue pair goes into the error state, in which it touches no memory any more and gives back
  /// what was posted; then everything is destroyed.
  ~VerbsChannel() override;

  CmId& id() { return *id_; }
  /// In the order of their use. The queue pair's number, for the connection manager.
  std::uint32_t number() const { return parts_.queue_pair->qp_num; }
  /// The peer's queue pair is known.
  absl::Status MakeReady(std::optional<ReadDepth> depth, std::optional<ibv_mtu> peers_mtu);
  /// What came of it.
  const ConnectionProperties& properties() const { return properties_; }
  /// The connection stands, or this side has accepted it: hears what becomes of it from now on.
  void Start() { id_->Forward(*this); }

  using Channel::Post;
  PostResult Post(std::span<const WorkRequest> chain) override;
  PostResult PostReceive(std::uint64_t id, std::span<std::byte> buffer, std::uint32_t local_key) override;
  std::size_t Poll(std::span<Completion> out) override;
  bool PrepareToSleep() override;
  WaitHandle wait_handle() const override;
  Deadline next_event() const override;

  ChannelLimits limits() const override;
  std::string path() const override;
  bool broken() const override { return failure_.broken(); }
  absl::Status failure() const override { return failure_.status(); }
  void Close() override;

 private:
  using Clock = Silence::Clock;

  VerbsChannel(std::unique_ptr<CmId> id, QueuePair queue_pair, std::string who, CompletionWait wait);

  void OnCmEvent(const rdma_cm_event& event) override;
  void OnQueuePairEvent(ibv_event_type event) override;

  void Break(const Failure& failure);
  void Disconnect();
  bool Hand(std::size_t count);
  void TakeCompletions();
  void TakeCompletion(const ibv_wc& entry);
  bool Unsettled() const { return requests_.unsettled() + receives_.unsettled() + (silence_.asked() ? 1 : 0) > 0; }
  void Urge();
  void DestroyQueuePair();
  void AskPeer();

  VerbsFailure failure_;
  // Guards the end of the connection, which any thread may bring about, against destruction.
  Mutex ending_;
  std::unique_ptr<CmId> id_;
  ibv_context* const device_;
  QueuePair parts_;
  CompletionWait wait_;
  ConnectionProperties properties_;

  // Owner only.
  RequestLedger requests_;
  RequestLedger receives_;
  SendChain chain_;
  bool receives_first_ = false;
  Silence silence_;
  Clock::time_point urge_at_;
  int urged_ = 0;

  std::atomic<bool> closed_ = false;  // By this side, before anything else broke it.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_CHANNEL_H_
