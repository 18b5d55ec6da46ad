#ifndef FARFAULT_LIB_TRANSPORT_VERBS_SEND_CHAIN_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_SEND_CHAIN_H_

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/transport/transport.h"
#include "lib/transport/verbs/queue_pair.h"

namespace farfault {

/// Work requests in the words of libibverbs, linked for one call and one doorbell. Owner only; allocates only when it
/// is made.
class SendChain {
 public:
  /// Takes inline data through the bounce buffer of `queue_pair`, which outlives this object, where it has one.
  explicit SendChain(QueuePair& queue_pair);

  std::uint32_t inline_bytes() const;

  /// Puts `request` at `index`. `number` is that of the request among all of the queue pair. Null: it is sound.
  /// Otherwise what is wrong with it, which no check of keys would find.
  const char* Fill(std::size_t index, const WorkRequest& request, std::uint64_t number);
  void AskToSpeak(std::size_t index) { requests_[index].send_flags |= IBV_SEND_SIGNALED; }
  /// The chain ends after `count` requests.
  ibv_send_wr* Link(std::size_t count);
  /// How many requests come before this one of the chain.
  std::size_t IndexOf(const ibv_send_wr* request) const { return static_cast<std::size_t>(request - requests_.data()); }

 private:
  void TakeInline(ibv_send_wr& wr, ibv_sge& piece, const WorkRequest& request);

  QueuePair& queue_pair_;
  std::vector<ibv_send_wr> requests_;
  std::vector<ibv_sge> pieces_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_SEND_CHAIN_H_
