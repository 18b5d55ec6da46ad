#include "lib/transport/verbs/on_demand.h"

#include <fmt/format.h>

#include "lib/transport/verbs/verbs_error.h"

namespace farfault {
namespace {

constexpr std::uint32_t kNeeded = IBV_ODP_SUPPORT_READ | IBV_ODP_SUPPORT_WRITE;

bool HasAny(const ibv_odp_caps& capabilities) { return (capabilities.general_caps & IBV_ODP_SUPPORT) != 0; }

}  // namespace

bool HasOnDemandPaging(const ibv_odp_caps& capabilities) {
  return HasAny(capabilities) && (capabilities.per_transport_caps.rc_odp_caps & kNeeded) == kNeeded;
}

unsigned RegistrationFlags(RemoteAccess access, bool on_demand) {
  const unsigned paging = on_demand ? unsigned{IBV_ACCESS_ON_DEMAND} : 0;
  switch (access) {
    case RemoteAccess::kNone:
      return IBV_ACCESS_LOCAL_WRITE;
    case RemoteAccess::kRead:
      return IBV_ACCESS_REMOTE_READ | paging;
    case RemoteAccess::kWrite:
      return IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | paging;
    case RemoteAccess::kReadWrite:
      break;
  }
  return IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
}

absl::Status CheckOnDemandPaging(std::string_view device, const ibv_odp_caps& capabilities) {
  if (HasOnDemandPaging(capabilities)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("RDMA device {} has no on-demand paging{}: leave out odp=1, and memory is registered by pinning it",
                  device, HasAny(capabilities) ? " for both READ and WRITE on reliable connections" : ""));
}

absl::Status CheckOnDemandPaging(ibv_context* context) {
  ibv_device_attr_ex attributes{};
  const char* const name = ibv_get_device_name(context->device);
  if (const int error = ibv_query_device_ex(context, nullptr, &attributes); error != 0) {
    return RdmaError(fmt::format("RDMA device {} does not say whether it has on-demand paging", name), error);
  }
  return CheckOnDemandPaging(name, attributes.odp_caps);
}

}  // namespace farfault
