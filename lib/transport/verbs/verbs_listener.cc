#include "lib/transport/verbs/verbs_listener.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "lib/transport/verbs/acceptance.h"
#include "lib/transport/verbs/port_trouble.h"
#include "lib/transport/verbs/queue_pair.h"
#include "lib/transport/verbs/verbs_channel.h"
#include "lib/transport/verbs/verbs_error.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

constexpr int kBacklog = 256;
constexpr absl::Duration kEstablishTimeout = absl::Seconds(1);

std::string PeerOf(rdma_cm_id* id) {
  SocketAddress peer;
  const sockaddr* const address = rdma_get_peer_addr(id);
  peer.length = address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  std::memcpy(&peer.storage, address, peer.length);
  return peer.ToUrl(kVerbsScheme);
}

std::uint16_t& PortOf(SocketAddress& address) {
  if (address.family() == AF_INET6) return reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port;
  return reinterpret_cast<sockaddr_in&>(address.storage).sin_port;
}

bool IsAny(const SocketAddress& address) {
  if (address.family() == AF_INET6) {
    return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr);
  }
  return reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr.s_addr == INADDR_ANY;
}

// An address of all interfaces becomes that of the device which is asked for, if one is.
absl::StatusOr<SocketAddress> AddressFor(const VerbsTransport& transport, const VerbsAddress& address,
                                         SocketAddress asked) {
  absl::StatusOr<SocketAddress> own = transport.OwnAddress(address.choice, asked.family());
  if (!own.ok()) return own.status();
  if (own->length == 0 || !IsAny(asked)) return asked;
  PortOf(*own) = PortOf(asked);
  return own;
}

class VerbsIncomingChannel final : public IncomingChannel {
 public:
  VerbsIncomingChannel(VerbsTransport& transport, const VerbsChoice& choice, std::unique_ptr<CmId> id,
                       const PrivateData& private_data, ReadDepth most)
      : transport_(transport),
        choice_(choice),
        id_(std::move(id)),
        peer_(PeerOf(id_->get())),
        private_data_(private_data),
        most_(most) {}
  ~VerbsIncomingChannel() override {
    if (id_ != nullptr) Reject(*id_);
  }

  const PrivateData& private_data() const override { return private_data_; }
  std::string peer() const override { return peer_; }
  absl::StatusOr<std::unique_ptr<Channel>> Accept(const ChannelOptions& options) override {
    if (id_ == nullptr) return absl::FailedPreconditionError("this connection request has been accepted already");
    const absl::StatusOr<VerbsDevice*> device = transport_.DeviceOf(*id_);
    if (!device.ok()) return device.status();
    absl::StatusOr<QueuePair> queue_pair = CreateQueuePair(**device, options, choice_);
    if (!queue_pair.ok()) return queue_pair.status();
    absl::StatusOr<std::unique_ptr<VerbsChannel>> channel = VerbsChannel::Create(
        std::move(id_), *std::move(queue_pair), fmt::format("channel '{}' with {}", options.name, peer_));
    if (!channel.ok()) return channel.status();
    if (absl::Status accepted = Agree(**channel, (*device)->attributes()); !accepted.ok()) return accepted;
    (*channel)->Start();
    return *std::move(channel);
  }

 private:
  // Best effort: a peer that does not hear it has gone.
  static void Reject(CmId& id) {
    static_cast<void>(rdma_reject(id.get(), kRejection.data(), static_cast<std::uint8_t>(kRejection.size())));
  }

  absl::Status Agree(VerbsChannel& channel, const ibv_device_attr& device) {
    ReadDepth depth = ReadDepthOf(device, choice_);
    depth = {std::min(depth.own, most_.own), std::min(depth.peers, most_.peers)};
    if (absl::Status ready = channel.MakeReady(depth, std::nullopt); !ready.ok()) return ready;
    const Acceptance acceptance = EncodeAcceptance(channel.properties().mtu);
    rdma_conn_param parameters{};
    parameters.private_data = acceptance.data();
    parameters.private_data_len = static_cast<std::uint8_t>(acceptance.size());
    parameters.responder_resources = depth.peers;
    parameters.initiator_depth = depth.own;
    parameters.rnr_retry_count = 7;  // For ever.
    parameters.qp_num = channel.number();
    CmId& id = channel.id();
    if (rdma_accept(id.get(), &parameters) != 0) return GivenUp(std::strerror(errno));
    // Until then an end of this channel would be a rejection to the peer. When the peer's word is lost, this side goes
    // on without: it will be repeated, and the queue pair is ready.
    const std::optional<CmId::Event> event = id.Wait(Deadline::After(kEstablishTimeout));
    if (!event || event->type == RDMA_CM_EVENT_ESTABLISHED) return absl::OkStatus();
    return GivenUp(rdma_event_str(event->type));
  }

  absl::Status GivenUp(std::string_view reason) const {
    return absl::UnavailableError(fmt::format(
        "the connection from {} cannot be accepted, perhaps because it was given up meanwhile: {}", peer_, reason));
  }

  VerbsTransport& transport_;
  const VerbsChoice choice_;
  std::unique_ptr<CmId> id_;
  const std::string peer_;
  const PrivateData private_data_;
  const ReadDepth most_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> VerbsListener::Create(VerbsTransport& transport,
                                                                const VerbsAddress& address) {
  const auto resolved = ResolveHostPort(kVerbsScheme, address.host_port, ResolveFor::kListening);
  if (!resolved.ok()) return resolved.status();
  absl::StatusOr<SocketAddress> chosen = AddressFor(transport, address, resolved->front());
  if (!chosen.ok()) return chosen.status();
  SocketAddress own = *chosen;
  absl::StatusOr<std::unique_ptr<CmId>> made = CmId::Create(transport.events());
  if (!made.ok()) return made.status();
  CmId& id = **made;
  if (address.choice.tclass) {
    if (absl::Status set = SetTrafficClass(id, *address.choice.tclass); !set.ok()) return set;
  }
  if (rdma_bind_addr(id.get(), own.get()) != 0) return ListenError(address.ToString(), errno);
  // Only an address of all interfaces leaves it open; the kernel also takes loopback addresses, where nobody arrives.
  if (id->verbs == nullptr && !IsAny(own)) return ListenError(address.ToString(), ENODEV);
  if (id->verbs != nullptr) {
    const std::string_view name = ibv_get_device_name(id->verbs->device);
    if (!address.choice.device.empty() && address.choice.device != name) {
      return absl::InvalidArgumentError(
          fmt::format("the address of {} belongs to RDMA device {}, not to {}: leave out one "
                      "of the two, or write an address of {}",
                      address.ToString(), name, address.choice.device, address.choice.device));
    }
    const absl::StatusOr<VerbsDevice*> device = transport.DeviceOf(id);
    if (!device.ok()) return device.status();
  }
  SocketAddress bound;
  bound.length = own.length;
  std::memcpy(&bound.storage, rdma_get_local_addr(id.get()), own.length);
  std::unique_ptr<VerbsListener> listener(
      new VerbsListener(transport, address.choice, bound.ToUrl(kVerbsScheme), *std::move(made)));
  // Before anybody can come: a request that finds no handler finds nobody.
  id.Forward(*listener);
  if (rdma_listen(id.get(), kBacklog) != 0) return ListenError(address.ToString(), errno);
  return listener;
}

void VerbsListener::OnCmEvent(const rdma_cm_event& event) {
  if (event.event == RDMA_CM_EVENT_DEVICE_REMOVAL) {
    const MutexLock lock(&mutex_);
    removed_ = true;
    if (event.id->verbs != nullptr) device_name_ = ibv_get_device_name(event.id->verbs->device);
    changed_.NotifyAll();
  }
  if (event.event != RDMA_CM_EVENT_CONNECT_REQUEST) return;
  const rdma_conn_param& connection = event.param.conn;
  Request request{std::make_unique<CmId>(transport_.events(), event.id),
                  {},
                  {connection.initiator_depth, connection.responder_resources}};
  if (connection.private_data_len < kPrivateDataBytes) return;
  std::memcpy(request.private_data.data(), connection.private_data, kPrivateDataBytes);
  Request dropped;
  const MutexLock lock(&mutex_);
  if (id_ == nullptr) return;
  if (pending_.size() == kMostPending) {
    dropped = std::move(pending_.front());
    pending_.pop_front();
  }
  pending_.push_back(std::move(request));
  changed_.NotifyAll();
}

absl::StatusOr<std::unique_ptr<IncomingChannel>> VerbsListener::Accept(Deadline deadline) {
  const MutexLock lock(&mutex_);
  const bool ready = changed_.WaitUntil(&mutex_, deadline, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return id_ == nullptr || removed_ || !pending_.empty();
  });
  if (!ready) return absl::DeadlineExceededError(fmt::format("nobody connected to {} in time", address_));
  if (id_ == nullptr) return absl::CancelledError(fmt::format("the listener at {} was closed", address_));
  if (removed_) {
    return absl::FailedPreconditionError(
        fmt::format("cannot listen at {} any more: {}", address_, RemovedText(device_name_)));
  }
  Request request = std::move(pending_.front());
  pending_.pop_front();
  return std::make_unique<VerbsIncomingChannel>(transport_, choice_, std::move(request.id), request.private_data,
                                                request.most);
}

void VerbsListener::Close() {
  std::unique_ptr<CmId> id;
  std::deque<Request> pending;
  {
    const MutexLock lock(&mutex_);
    id = std::move(id_);
    pending = std::move(pending_);
    pending_.clear();
    changed_.NotifyAll();
  }
  // Not under the lock: it waits for a handler that may want it.
}

}  // namespace farfault
