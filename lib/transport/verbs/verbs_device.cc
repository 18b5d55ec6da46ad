#include "lib/transport/verbs/verbs_device.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "lib/transport/verbs/port_trouble.h"
#include "lib/transport/verbs/verbs_error.h"

namespace farfault {

absl::StatusOr<std::unique_ptr<VerbsDevice>> VerbsDevice::Open(ibv_device* device, CmEvents& events) {
  const char* const name = ibv_get_device_name(device);
  UniqueContext context(ibv_open_device(device));
  if (context == nullptr) return RdmaError(fmt::format("RDMA device {} cannot be opened", name), errno);
  ibv_device_attr attributes{};
  if (const int error = ibv_query_device(context.get(), &attributes); error != 0) {
    return RdmaError(fmt::format("RDMA device {} does not say what it can do", name), error);
  }
  UniquePd domain(ibv_alloc_pd(context.get()));
  if (domain == nullptr) return RdmaError(fmt::format("RDMA device {} has no protection domain left", name), errno);
  return std::unique_ptr<VerbsDevice>(new VerbsDevice(std::move(context), events, std::move(domain), attributes));
}

void VerbsDevice::Use(std::uint8_t port) {
  const MutexLock lock(&mutex_);
  if (used_.insert(port).second) news_.store(true, std::memory_order_release);
}

std::string VerbsDevice::Trouble() {
  const MutexLock lock(&mutex_);
  if (news_.exchange(false, std::memory_order_acq_rel)) {
    trouble_ = TroubleOf(context(), used_.empty() ? PortsOf(attributes_) : used_);
  }
  return trouble_;
}

std::string TroubleOf(ibv_context* device, const std::set<std::uint8_t>& ports) {
  std::string first;
  for (const std::uint8_t port : ports) {
    std::string trouble = PortTrouble(device, port);
    if (trouble.empty()) return {};
    if (first.empty()) first = std::move(trouble);
  }
  return first;
}

std::set<std::uint8_t> PortsOf(const ibv_device_attr& device) {
  std::set<std::uint8_t> ports;
  for (std::uint8_t port = 1; port <= device.phys_port_cnt; ++port) ports.insert(port);
  return ports;
}

}  // namespace farfault
