#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_TRANSPORT_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_TRANSPORT_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "lib/transport/transport.h"
#include "lib/transport/verbs/cm_events.h"
#include "lib/transport/verbs/cm_id.h"
#include "lib/transport/verbs/rdma_handles.h"
#include "lib/transport/verbs/verbs_address.h"
#include "lib/transport/verbs/verbs_device.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// RDMA through libibverbs and librdmacm, one reliable-connected queue pair per channel, `verbs://HOST:PORT`.
///
/// All channels and memory of one transport belong to one device: the one that the address names, or to which it
/// belongs or is routed.
class VerbsTransport final : public Transport {
 public:
  VerbsTransport(std::shared_ptr<CmEvents> events, UniqueDeviceList devices, VerbsAddress address)
      : events_(std::move(events)), devices_(std::move(devices)), address_(std::move(address)) {}

  std::string_view scheme() const override { return kVerbsScheme; }
  bool pins_memory() const override { return !address_.choice.on_demand; }
  absl::StatusOr<std::unique_ptr<RegisteredMemory>> Register(std::span<std::byte> memory, RemoteAccess access) override;
  absl::StatusOr<std::unique_ptr<Channel>> Connect(std::string_view address, const PrivateData& private_data,
                                                   const ChannelOptions& options, Deadline deadline) override;
  absl::StatusOr<std::unique_ptr<Listener>> Listen(std::string_view address) override;
  std::string Trouble() override ABSL_LOCKS_EXCLUDED(mutex_);

  CmEvents& events() const { return *events_; }
  /// The one device of this transport, chosen by the first who asks. kFailedPrecondition when `id`, which is bound, is
  /// bound to another.
  absl::StatusOr<VerbsDevice*> DeviceOf(const CmId& id) ABSL_LOCKS_EXCLUDED(mutex_);
  /// kFailedPrecondition when the device was removed, if one has been chosen.
  absl::Status CheckDevice() const ABSL_LOCKS_EXCLUDED(mutex_);
  /// This side's address when `choice` names a device; empty, with length 0, otherwise. `family` of the peer's address.
  absl::StatusOr<SocketAddress> OwnAddress(const VerbsChoice& choice, int family) const;

 private:
  absl::StatusOr<VerbsDevice*> AnyDevice() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<VerbsDevice*> Use(ibv_context* context) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<ibv_context*> FindDevice(std::string_view name) const;
  absl::StatusOr<ibv_context*> DeviceByAddress() const;
  std::vector<ibv_context*> Devices() const;

  const std::shared_ptr<CmEvents> events_;
  const UniqueDeviceList devices_;
  const VerbsAddress address_;
  mutable Mutex mutex_;
  std::unique_ptr<VerbsDevice> device_ ABSL_GUARDED_BY(mutex_);
};

/// kInvalidArgument for a bad address; kNotFound when this host has no RDMA device.
absl::StatusOr<std::unique_ptr<Transport>> MakeVerbsTransport(std::string_view address);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_TRANSPORT_H_
