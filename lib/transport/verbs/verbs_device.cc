#include "lib/transport/verbs/verbs_device.h"

#include <fmt/format.h>

#include <cerrno>

#include "lib/transport/verbs/verbs_error.h"

namespace farfault {

absl::StatusOr<std::unique_ptr<VerbsDevice>> VerbsDevice::Open(ibv_context* context, CmEvents& events) {
  const char* const name = ibv_get_device_name(context->device);
  ibv_device_attr attributes{};
  if (const int error = ibv_query_device(context, &attributes); error != 0) {
    return RdmaError(fmt::format("RDMA device {} does not say what it can do", name), error);
  }
  UniquePd domain(ibv_alloc_pd(context));
  if (domain == nullptr) return RdmaError(fmt::format("RDMA device {} has no protection domain left", name), errno);
  return std::unique_ptr<VerbsDevice>(new VerbsDevice(context, events, std::move(domain), attributes));
}

}  // namespace farfault
