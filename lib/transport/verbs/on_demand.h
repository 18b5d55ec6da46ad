#ifndef FARFAULT_LIB_TRANSPORT_VERBS_ON_DEMAND_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_ON_DEMAND_H_

#include <infiniband/verbs.h>

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/transport/transport.h"

// On-demand paging: the device takes page faults of its own, so that registered memory is neither pinned nor populated
// (ibv_reg_mr(3), IBV_ACCESS_ON_DEMAND). Asked for with `?odp=1`; where the device lacks it, that is an error and not a
// reason to pin a guest that somebody meant to leave unpinned.
namespace farfault {

/// Whether a device with these capabilities can READ and WRITE such memory on reliable connections.
bool HasOnDemandPaging(const ibv_odp_caps& capabilities);

/// The access flags of ibv_reg_mr. On demand are guest memory and frames, which is what only a peer's READs or only its
/// WRITEs reach; tables, rings and buffers are small and always in use. Never with relaxed ordering: the claim protocol
/// lives on WRITEs and READs being seen in order.
unsigned RegistrationFlags(RemoteAccess access, bool on_demand);

/// OK when `context` has on-demand paging. kFailedPrecondition says what it lacks.
absl::Status CheckOnDemandPaging(ibv_context* context);
/// The same for capabilities that are known.
absl::Status CheckOnDemandPaging(std::string_view device, const ibv_odp_caps& capabilities);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_ON_DEMAND_H_
