#include "lib/transport/verbs/queue_pair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "lib/transport/channel_slots.h"
#include "lib/transport/verbs/verbs_error.h"

namespace farfault {
namespace {

// One more than the owner's: the channel's own question whether the peer is still there.
constexpr std::uint32_t kOwnSlots = 1;
constexpr std::uint8_t kReceiverNotReadyDelay = 12;  // 0.64 ms (InfiniBand Architecture, table 46).
// Of ibv_qp_attr_mask: addresses on Ethernet, which kernels also name where there are none.
constexpr int kEthernetBits = 0xe00000;

absl::Status QueuesTooSmall(std::string_view device, std::uint64_t most, std::string_view what, std::uint64_t needed) {
  return absl::FailedPreconditionError(fmt::format(
      "RDMA device {} has queues for {} {} at most, and this channel needs {}: use another device, or tcp://", device,
      most, what, needed));
}

// Asks for less and less inline data, since devices refuse what they do not have instead of giving what they have.
ibv_qp* CreateOn(ibv_pd* domain, ibv_qp_init_attr& attributes) {
  for (;;) {
    ibv_qp_init_attr asked = attributes;
    if (ibv_qp* const made = ibv_create_qp(domain, &asked)) {
      attributes.cap = asked.cap;
      return made;
    }
    if (attributes.cap.max_inline_data == 0 || (errno != EINVAL && errno != ENOMEM)) return nullptr;
    attributes.cap.max_inline_data /= 2;
  }
}

}  // namespace

absl::StatusOr<QueueSizes> GrantQueues(const ibv_device_attr& limits, std::string_view device,
                                       const ChannelOptions& options) {
  const auto most = static_cast<std::uint32_t>(std::max(1, limits.max_qp_wr));
  const QueueSizes sizes{std::min(options.send_slots, most - kOwnSlots), options.receive_slots};
  if (2 * sizes.send_slots < options.send_slots) {
    return QueuesTooSmall(device, most - kOwnSlots, "requests", (options.send_slots + 1) / 2);
  }
  if (sizes.receive_slots > most) return QueuesTooSmall(device, most, "receives", options.receive_slots);
  const std::uint64_t completions = std::uint64_t{sizes.send_slots} + kOwnSlots + sizes.receive_slots;
  const auto most_completions = static_cast<std::uint64_t>(std::max(0, limits.max_cqe));
  if (completions > most_completions) return QueuesTooSmall(device, most_completions, "completions", completions);
  return sizes;
}

absl::StatusOr<QueuePair> CreateQueuePair(const VerbsDevice& device, const ChannelOptions& options,
                                          const VerbsChoice& choice) {
  if (absl::Status slots = CheckSlots(options); !slots.ok()) return slots;
  const absl::StatusOr<QueueSizes> sizes = GrantQueues(device.attributes(), device.name(), options);
  if (!sizes.ok()) return sizes.status();
  const std::uint64_t completions = std::uint64_t{sizes->send_slots} + kOwnSlots + sizes->receive_slots;

  QueuePair made;
  made.send_slots = sizes->send_slots;
  made.receive_slots = sizes->receive_slots;
  made.completion_channel.reset(ibv_create_comp_channel(device.context()));
  if (made.completion_channel == nullptr) {
    return RdmaError(fmt::format("RDMA device {} has no completion channel left", device.name()), errno);
  }
  made.completion_queue.reset(
      ibv_create_cq(device.context(), static_cast<int>(completions), nullptr, made.completion_channel.get(), 0));
  if (made.completion_queue == nullptr) {
    return RdmaError(
        fmt::format("RDMA device {} has no completion queue of {} entries left", device.name(), completions), errno);
  }
  ibv_qp_init_attr attributes{};
  attributes.send_cq = attributes.recv_cq = made.completion_queue.get();
  attributes.qp_type = IBV_QPT_RC;
  attributes.cap.max_send_wr = sizes->send_slots + kOwnSlots;
  attributes.cap.max_recv_wr = sizes->receive_slots;
  attributes.cap.max_send_sge = attributes.cap.max_recv_sge = 1;
  attributes.cap.max_inline_data = choice.inline_bytes.value_or(QueuePair::kInlineBytes);
  made.queue_pair.reset(CreateOn(device.domain(), attributes));
  if (made.queue_pair == nullptr) {
    return RdmaError(fmt::format("RDMA device {} has no queue pair for {} requests and {} receives left", device.name(),
                                 sizes->send_slots, sizes->receive_slots),
                     errno);
  }
  // Where none was asked for none is used, although some devices have it anyway.
  made.device_inline_bytes = choice.inline_bytes == 0 ? 0 : attributes.cap.max_inline_data;
  if (made.device_inline_bytes >= QueuePair::kInlineBytes) return made;
  made.bounce_bytes.resize(std::size_t{sizes->send_slots} * QueuePair::kInlineBytes);
  made.bounce.reset(ibv_reg_mr(device.domain(), made.bounce_bytes.data(), made.bounce_bytes.size(), 0));
  if (made.bounce == nullptr) {
    return RegistrationError(made.bounce_bytes.size(), RemoteAccess::kNone, device.name(), errno);
  }
  return made;
}

ReadDepth ReadDepthOf(const ibv_device_attr& device, const VerbsChoice& choice) {
  // As the library takes the device's numbers, which it compares with.
  const auto most = [](int number) { return static_cast<std::uint8_t>(std::clamp(number, 0, 254)); };
  return {std::min(most(device.max_qp_init_rd_atom), choice.reads.value_or(254)), most(device.max_qp_rd_atom)};
}

absl::Status MakeReady(ibv_qp* queue_pair, const CmId& id, std::optional<ReadDepth> depth,
                       std::optional<ibv_mtu> peers_mtu) {
  ibv_port_attr port{};
  if (const int error = ibv_query_port(id->verbs, id->port_num, &port); error != 0) {
    return RdmaError("an RDMA device does not tell of its port", error);
  }
  for (const ibv_qp_state state : {IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS}) {
    ibv_qp_attr attributes{};
    attributes.qp_state = state;
    int mask = 0;
    if (rdma_init_qp_attr(id.get(), &attributes, &mask) != 0) {
      return RdmaError("the connection manager does not tell a queue pair's properties", errno);
    }
    if (state == IBV_QPS_RTR && port.link_layer == IBV_LINK_LAYER_INFINIBAND) mask &= ~kEthernetBits;
    // Of the connecting end, until here: the listening one may have less.
    attributes.path_mtu = std::min({attributes.path_mtu, port.active_mtu, peers_mtu.value_or(IBV_MTU_4096)});
    attributes.min_rnr_timer = kReceiverNotReadyDelay;
    if (depth) {
      attributes.max_dest_rd_atomic = depth->peers;
      attributes.max_rd_atomic = depth->own;
    }
    if (const int error = ibv_modify_qp(queue_pair, &attributes, mask); error != 0) {
      return RdmaError("a queue pair cannot be connected", error);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ConnectionProperties> PropertiesOf(ibv_qp* queue_pair) {
  ibv_qp_attr attributes{};
  ibv_qp_init_attr unused{};
  constexpr int kAsked = IBV_QP_MAX_QP_RD_ATOMIC | IBV_QP_PATH_MTU | IBV_QP_PORT | IBV_QP_AV;
  if (const int error = ibv_query_qp(queue_pair, &attributes, kAsked, &unused); error != 0) {
    return RdmaError("an RDMA connection does not tell its properties", error);
  }
  if (attributes.max_rd_atomic == 0) {
    return absl::FailedPreconditionError(
        "the two RDMA devices agree on no READ at all: one of them cannot read (max_qp_init_rd_atom) or be read "
        "(max_qp_rd_atom; `ibv_devinfo -v` shows them)");
  }
  return ConnectionProperties{.max_outstanding_reads = attributes.max_rd_atomic,
                              .mtu = attributes.path_mtu,
                              .mtu_bytes = 128u << attributes.path_mtu,
                              .port = attributes.port_num,
                              .gid = attributes.ah_attr.grh.sgid_index,
                              .traffic_class = attributes.ah_attr.grh.traffic_class};
}

}  // namespace farfault
