#ifndef FARFAULT_LIB_TRANSPORT_VERBS_QUEUE_PAIR_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_QUEUE_PAIR_H_

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/transport/transport.h"
#include "lib/transport/verbs/cm_id.h"
#include "lib/transport/verbs/rdma_handles.h"
#include "lib/transport/verbs/verbs_address.h"
#include "lib/transport/verbs/verbs_device.h"

namespace farfault {

/// A reliable-connected queue pair and its one completion queue: completions of either direction come in order, and
/// there is one thing to sleep on.
struct QueuePair {
  /// What the header promises, with or without the device's help.
  static constexpr std::uint32_t kInlineBytes = 64;

  UniqueCompletionChannel completion_channel;
  UniqueCq completion_queue;
  UniqueQp queue_pair;
  std::uint32_t send_slots = 0;
  std::uint32_t receive_slots = 0;
  std::uint32_t device_inline_bytes = 0;
  /// Where the device copies too little inline: kInlineBytes for every send slot.
  std::vector<std::byte> bounce_bytes;
  UniqueMr bounce;
};

/// How many requests and receives a queue pair takes.
struct QueueSizes {
  std::uint32_t send_slots = 0;
  std::uint32_t receive_slots = 0;
};
/// Half of the requests that are asked for are enough, since the owner sees how many; receives are all needed.
/// kFailedPrecondition when the device has less.
absl::StatusOr<QueueSizes> GrantQueues(const ibv_device_attr& limits, std::string_view device,
                                       const ChannelOptions& options);

/// Not connected yet. kFailedPrecondition when the device has no queues of this size.
absl::StatusOr<QueuePair> CreateQueuePair(const VerbsDevice& device, const ChannelOptions& options,
                                          const VerbsChoice& choice);

/// READs that may be on their way at once.
struct ReadDepth {
  std::uint8_t own = 0;    ///< Of this side; rdma_cm: initiator_depth.
  std::uint8_t peers = 0;  ///< Of the peer; rdma_cm: responder_resources.
};
/// What `device` can do, bounded by what this side has chosen.
ReadDepth ReadDepthOf(const ibv_device_attr& device, const VerbsChoice& choice);

/// Takes the queue pair to where it receives and sends, since `id` knows of the peer's. rdma_cm's library would do the
/// same, but has a SEND that finds no receive wait for 655 ms, and takes the MTU of the connecting end for both.
/// Without `depth`: as the two ends have agreed. `peers_mtu` is the most that the peer can do, if it has said so.
absl::Status MakeReady(ibv_qp* queue_pair, const CmId& id, std::optional<ReadDepth> depth,
                       std::optional<ibv_mtu> peers_mtu);

/// What both ends have agreed to, once the queue pair is ready.
struct ConnectionProperties {
  std::uint32_t max_outstanding_reads = 0;
  ibv_mtu mtu{};
  std::uint32_t mtu_bytes = 0;
  std::uint8_t port = 0;
  std::uint8_t gid = 0;            ///< Index in the port's table.
  std::uint8_t traffic_class = 0;  ///< Of what this end sends.
};
/// kFailedPrecondition when no READ may be on its way at all.
absl::StatusOr<ConnectionProperties> PropertiesOf(ibv_qp* queue_pair);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_QUEUE_PAIR_H_
