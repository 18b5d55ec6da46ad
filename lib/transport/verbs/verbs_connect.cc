#include "lib/transport/verbs/verbs_connect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "lib/transport/verbs/acceptance.h"
#include "lib/transport/verbs/queue_pair.h"
#include "lib/transport/verbs/verbs_channel.h"
#include "lib/transport/verbs/verbs_error.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

// How often another queue pair is tried when the peer's host takes this one for an old one.
constexpr int kStaleRetries = 3;

int Milliseconds(Deadline deadline) {
  constexpr std::int64_t kMost = 60'000;
  return static_cast<int>(std::clamp<std::int64_t>(absl::ToInt64Milliseconds(deadline.Left()), 1, kMost));
}

absl::Status TooLate(std::string_view where) {
  return absl::DeadlineExceededError(
      fmt::format("{} did not answer in time: check that the host is up, listens, and that no firewall drops RoCE (UDP "
                  "port 4791)",
                  where));
}

std::string_view DeviceNameOf(const CmId& id) {
  return id->verbs == nullptr ? "" : ibv_get_device_name(id->verbs->device);
}

absl::Status ErrorOf(const CmId& id, std::string_view where, const CmId::Event& event) {
  return ConnectError(where, event.type, event.status, event.private_data, DeviceNameOf(id));
}

absl::Status WaitFor(CmId& id, rdma_cm_event_type wanted, std::string_view where, Deadline deadline) {
  const std::optional<CmId::Event> event = id.Wait(deadline);
  if (!event) return TooLate(where);
  return event->type == wanted ? absl::OkStatus() : ErrorOf(id, where, *event);
}

// The connection manager lets go of a device that is removed a moment before the rest of the kernel does.
absl::Status NoRoute(const VerbsTransport& transport, const absl::Status& reason) {
  absl::SleepFor(absl::Milliseconds(200));
  absl::Status removed = transport.CheckDevice();
  return removed.ok() ? reason : removed;
}

// An answer that waits for a port which has gone down may never come, and nobody would learn why.
std::optional<CmId::Event> WaitForAnswer(CmId& id, VerbsDevice& device, Deadline deadline) {
  constexpr absl::Duration kLookAgain = absl::Seconds(1);
  for (;;) {
    const bool late = deadline.Passed();
    std::optional<CmId::Event> event = id.Wait(std::min(deadline, Deadline::After(kLookAgain)));
    if (event || late || !device.Trouble().empty()) return event;
  }
}

// Asks the peer. When it accepts it says RDMA_CM_EVENT_CONNECT_RESPONSE, or on iWARP RDMA_CM_EVENT_ESTABLISHED.
absl::StatusOr<CmId::Event> Ask(VerbsChannel& channel, VerbsDevice& device, const VerbsAddress& address,
                                const PrivateData& private_data, std::string_view where, Deadline deadline) {
  const ReadDepth depth = ReadDepthOf(device.attributes(), address.choice);
  rdma_conn_param parameters{};
  parameters.private_data = private_data.data();
  parameters.private_data_len = static_cast<std::uint8_t>(private_data.size());
  parameters.responder_resources = depth.peers;
  parameters.initiator_depth = depth.own;
  // Holds for both ends. SoftRoCE takes 7 for ever, as it is for receives that are not ready, and then never says that
  // a peer's host is gone.
  parameters.retry_count = 6;
  parameters.rnr_retry_count = 7;  // For ever.
  parameters.qp_num = channel.number();
  if (rdma_connect(channel.id().get(), &parameters) != 0) {
    return RdmaError(fmt::format("cannot connect to {}", where), errno);
  }
  std::optional<CmId::Event> event = WaitForAnswer(channel.id(), device, deadline);
  if (event) return *std::move(event);
  if (deadline.Passed()) return TooLate(where);
  return absl::UnavailableError(fmt::format("{} cannot be asked for a connection now", where));
}

absl::StatusOr<std::unique_ptr<VerbsChannel>> Prepare(VerbsTransport& transport, const VerbsAddress& address,
                                                      const SocketAddress& peer, const ChannelOptions& options,
                                                      Deadline deadline) {
  absl::StatusOr<std::unique_ptr<CmId>> id = Route(transport, address, peer, deadline);
  if (!id.ok()) return id.status();
  const absl::StatusOr<VerbsDevice*> device = transport.DeviceOf(**id);
  if (!device.ok()) return device.status();
  absl::StatusOr<QueuePair> queue_pair = CreateQueuePair(**device, options, address.choice);
  if (!queue_pair.ok()) return queue_pair.status();
  return VerbsChannel::Create(*std::move(id), *std::move(queue_pair),
                              fmt::format("channel '{}' with {}", options.name, peer.ToUrl(kVerbsScheme)));
}

absl::StatusOr<std::unique_ptr<Channel>> ConnectTo(VerbsTransport& transport, const VerbsAddress& address,
                                                   const SocketAddress& peer, const PrivateData& private_data,
                                                   const ChannelOptions& options, Deadline deadline) {
  const std::string where = peer.ToUrl(kVerbsScheme);
  for (int attempt = 0;; ++attempt) {
    absl::StatusOr<std::unique_ptr<VerbsChannel>> channel = Prepare(transport, address, peer, options, deadline);
    if (!channel.ok()) return channel.status();
    CmId& id = (*channel)->id();
    const absl::StatusOr<VerbsDevice*> device = transport.DeviceOf(id);
    if (!device.ok()) return device.status();
    const absl::StatusOr<CmId::Event> answer = Ask(**channel, **device, address, private_data, where, deadline);
    if (!answer.ok()) return answer.status();
    if (attempt < kStaleRetries && IsStale(answer->type, answer->status)) continue;
    const bool accepted = answer->type == RDMA_CM_EVENT_CONNECT_RESPONSE || answer->type == RDMA_CM_EVENT_ESTABLISHED;
    if (!accepted) return ErrorOf(id, where, *answer);
    const std::optional<ibv_mtu> mtu = DecodeAcceptance(answer->private_data);
    if (absl::Status ready = (*channel)->MakeReady(std::nullopt, mtu); !ready.ok()) return ready;
    if (answer->type == RDMA_CM_EVENT_CONNECT_RESPONSE && rdma_establish(id.get()) != 0) {
      return RdmaError(fmt::format("the connection to {} cannot be completed", where), errno);
    }
    (*channel)->Start();
    return *std::move(channel);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<CmId>> Route(const VerbsTransport& transport, const VerbsAddress& address,
                                            SocketAddress peer, Deadline deadline) {
  const std::string where = peer.ToUrl(kVerbsScheme);
  absl::StatusOr<std::unique_ptr<CmId>> made = CmId::Create(transport.events());
  if (!made.ok()) return made.status();
  CmId& id = **made;
  if (address.choice.tclass) {
    if (absl::Status set = SetTrafficClass(id, *address.choice.tclass); !set.ok()) return set;
  }
  absl::StatusOr<SocketAddress> own = transport.OwnAddress(address.choice, peer.family());
  if (!own.ok()) return own.status();
  if (rdma_resolve_addr(id.get(), own->length > 0 ? own->get() : nullptr, peer.get(), Milliseconds(deadline)) != 0) {
    return NoRoute(transport, ResolveError(where, errno));
  }
  if (absl::Status resolved = WaitFor(id, RDMA_CM_EVENT_ADDR_RESOLVED, where, deadline); !resolved.ok()) {
    return NoRoute(transport, resolved);
  }
  if (rdma_resolve_route(id.get(), Milliseconds(deadline)) != 0) return ResolveError(where, errno);
  if (absl::Status routed = WaitFor(id, RDMA_CM_EVENT_ROUTE_RESOLVED, where, deadline); !routed.ok()) return routed;
  return made;
}

absl::StatusOr<std::unique_ptr<Channel>> ConnectVerbs(VerbsTransport& transport, const VerbsAddress& address,
                                                      const PrivateData& private_data, const ChannelOptions& options,
                                                      Deadline deadline) {
  if (address.host_port.port == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "{} has port 0, which only a listener can use: write the port that the peer listens at", address.ToString()));
  }
  const auto candidates = ResolveHostPort(kVerbsScheme, address.host_port, ResolveFor::kConnecting);
  if (!candidates.ok()) return candidates.status();
  if (absl::Status removed = transport.CheckDevice(); !removed.ok()) return removed;
  absl::StatusOr<std::unique_ptr<Channel>> channel = absl::UnavailableError("no address");
  std::size_t left = candidates->size();
  for (const SocketAddress& candidate : *candidates) {
    // An address that swallows everything leaves the others their share of the time.
    channel = ConnectTo(transport, address, candidate, private_data, options,
                        left == 1 ? deadline : Deadline::After(deadline.Left() / left));
    --left;
    if (!absl::IsUnavailable(channel.status()) && !absl::IsDeadlineExceeded(channel.status())) return channel;
  }
  const std::string trouble = transport.Trouble();
  if (trouble.empty()) return channel;
  return absl::Status(channel.status().code(), fmt::format("{}; {}", StatusText(channel.status()), trouble));
}

}  // namespace farfault
