#include "lib/transport/verbs/verbs_transport.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <cerrno>
#include <utility>

#include "lib/transport/verbs/device_address.h"
#include "lib/transport/verbs/on_demand.h"
#include "lib/transport/verbs/port_trouble.h"
#include "lib/transport/verbs/verbs_connect.h"
#include "lib/transport/verbs/verbs_error.h"
#include "lib/transport/verbs/verbs_listener.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

class VerbsMemory final : public RegisteredMemory {
 public:
  VerbsMemory(std::span<std::byte> memory, UniqueMr region)
      : RegisteredMemory(memory, region->lkey, region->rkey), region_(std::move(region)) {}

 private:
  const UniqueMr region_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RegisteredMemory>> VerbsTransport::Register(std::span<std::byte> memory,
                                                                           RemoteAccess access) {
  if (memory.empty()) return absl::InvalidArgumentError("memory of 0 bytes cannot be registered");
  const absl::StatusOr<VerbsDevice*> device = AnyDevice();
  if (!device.ok()) return device.status();
  const unsigned flags = RegistrationFlags(access, address_.choice.on_demand);
  UniqueMr region(ibv_reg_mr((*device)->domain(), memory.data(), memory.size(), flags));
  if (region == nullptr) return RegistrationError(memory.size(), access, (*device)->name(), errno);
  return std::make_unique<VerbsMemory>(memory, std::move(region));
}

absl::StatusOr<std::unique_ptr<Channel>> VerbsTransport::Connect(std::string_view address,
                                                                 const PrivateData& private_data,
                                                                 const ChannelOptions& options, Deadline deadline) {
  const absl::StatusOr<VerbsAddress> parsed = ParseVerbsAddress(address);
  if (!parsed.ok()) return parsed.status();
  return ConnectVerbs(*this, *parsed, private_data, options, deadline);
}

absl::StatusOr<std::unique_ptr<Listener>> VerbsTransport::Listen(std::string_view address) {
  const absl::StatusOr<VerbsAddress> parsed = ParseVerbsAddress(address);
  if (!parsed.ok()) return parsed.status();
  return VerbsListener::Create(*this, *parsed);
}

std::vector<ibv_context*> VerbsTransport::Devices() const {
  std::vector<ibv_context*> devices;
  for (ibv_context** device = devices_.get(); *device != nullptr; ++device) devices.push_back(*device);
  return devices;
}

absl::StatusOr<ibv_context*> VerbsTransport::FindDevice(std::string_view name) const {
  std::vector<std::string> names;
  for (ibv_context* const device : Devices()) {
    if (name == ibv_get_device_name(device->device)) return device;
    names.emplace_back(ibv_get_device_name(device->device));
  }
  return NoSuchDevice(name, names);
}

absl::StatusOr<SocketAddress> VerbsTransport::OwnAddress(const VerbsChoice& choice, int family) const {
  if (!choice.forces_address()) return SocketAddress{};
  const absl::StatusOr<ibv_context*> device = FindDevice(choice.device);
  if (!device.ok()) return device.status();
  return AddressOfDevice(*device, choice, family);
}

absl::StatusOr<VerbsDevice*> VerbsTransport::Use(ibv_context* context) {
  const MutexLock lock(&mutex_);
  if (device_ == nullptr) {
    if (address_.choice.on_demand) {
      if (absl::Status able = CheckOnDemandPaging(context); !able.ok()) return able;
    }
    absl::StatusOr<std::unique_ptr<VerbsDevice>> opened = VerbsDevice::Open(context->device, *events_);
    if (!opened.ok()) return opened.status();
    device_ = *std::move(opened);
  }
  if (device_->context()->device == context->device) return device_.get();
  return absl::FailedPreconditionError(fmt::format(
      "this connection would go through RDMA device {}, but the session's memory is registered with {}: use "
      "addresses of one device, or name it: verbs://HOST:PORT?device={}",
      ibv_get_device_name(context->device), device_->name(), device_->name()));
}

absl::StatusOr<VerbsDevice*> VerbsTransport::DeviceOf(const CmId& id) {
  absl::StatusOr<VerbsDevice*> device = Use(id->verbs);
  if (device.ok()) (*device)->Use(id->port_num);
  return device;
}

std::string VerbsTransport::Trouble() {
  {
    const MutexLock lock(&mutex_);
    if (device_ != nullptr) return device_->Trouble();
  }
  std::string first;
  for (ibv_context* const device : Devices()) {
    const std::string_view choice = address_.choice.device;
    ibv_device_attr attributes{};
    if (!choice.empty() && choice != ibv_get_device_name(device->device)) continue;
    if (ibv_query_device(device, &attributes) != 0) continue;
    std::string trouble = TroubleOf(device, PortsOf(attributes));
    if (trouble.empty()) return {};
    if (first.empty()) first = std::move(trouble);
  }
  return first;
}

absl::Status VerbsTransport::CheckDevice() const {
  const std::vector<ibv_context*> devices = Devices();
  const MutexLock lock(&mutex_);
  // Without a choice, one that is left will do.
  const ibv_context* const device = device_ != nullptr    ? device_->context()
                                    : devices.size() == 1 ? devices[0]
                                                          : nullptr;
  if (device == nullptr || !IsRemoved(device)) return absl::OkStatus();
  return absl::FailedPreconditionError(RemovedText(ibv_get_device_name(device->device)));
}

// For memory that is registered before there is any connection.
absl::StatusOr<VerbsDevice*> VerbsTransport::AnyDevice() {
  {
    const MutexLock lock(&mutex_);
    if (device_ != nullptr) return device_.get();
  }
  const std::vector<ibv_context*> devices = Devices();
  absl::StatusOr<ibv_context*> device = devices.size() == 1              ? devices.front()
                                        : address_.choice.device.empty() ? DeviceByAddress()
                                                                         : FindDevice(address_.choice.device);
  if (!device.ok()) return device.status();
  return Use(*device);
}

absl::StatusOr<ibv_context*> VerbsTransport::DeviceByAddress() const {
  auto resolved = ResolveHostPort(kVerbsScheme, address_.host_port, ResolveFor::kConnecting);
  if (!resolved.ok()) return resolved.status();
  SocketAddress& own = resolved->front();
  // Any port will do.
  if (own.family() == AF_INET) reinterpret_cast<sockaddr_in*>(own.get())->sin_port = 0;
  if (own.family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(own.get())->sin6_port = 0;
  absl::StatusOr<std::unique_ptr<CmId>> id = CmId::Create(*events_);
  if (!id.ok()) return id.status();
  if (rdma_bind_addr((*id)->get(), own.get()) == 0 && (**id)->verbs != nullptr) return (**id)->verbs;
  id = Route(*this, address_, resolved->front(), Deadline::After(absl::Seconds(2)));
  if (id.ok()) return (**id)->verbs;
  return absl::FailedPreconditionError(
      fmt::format("this host has several RDMA devices, and {} does not say which one is meant: name it, as in "
                  "verbs://HOST:PORT?device={}",
                  address_.ToString(), ibv_get_device_name(devices_.get()[0]->device)));
}

absl::StatusOr<std::unique_ptr<Transport>> MakeVerbsTransport(std::string_view address) {
  const absl::StatusOr<VerbsAddress> parsed = ParseVerbsAddress(address);
  if (!parsed.ok()) return parsed.status();
  int count = 0;
  UniqueDeviceList devices(rdma_get_devices(&count));
  if (devices == nullptr || count == 0) return NoRdmaDevice();
  absl::StatusOr<std::shared_ptr<CmEvents>> events = CmEvents::Get();
  if (!events.ok()) return events.status();
  return std::make_unique<VerbsTransport>(*std::move(events), std::move(devices), *parsed);
}

}  // namespace farfault
