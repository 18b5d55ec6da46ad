#include "lib/transport/verbs/on_demand.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <string>

namespace farfault {
namespace {

ibv_odp_caps Capabilities(std::uint64_t general, std::uint32_t connected) {
  ibv_odp_caps capabilities{};
  capabilities.general_caps = general;
  capabilities.per_transport_caps.rc_odp_caps = connected;
  return capabilities;
}

TEST_CASE("on-demand paging takes READ and WRITE on reliable connections") {
  constexpr std::uint32_t kBoth = IBV_ODP_SUPPORT_READ | IBV_ODP_SUPPORT_WRITE;
  CHECK(HasOnDemandPaging(Capabilities(IBV_ODP_SUPPORT, kBoth | IBV_ODP_SUPPORT_SEND)));
  CHECK_FALSE(HasOnDemandPaging(Capabilities(0, kBoth)));
  CHECK_FALSE(HasOnDemandPaging(Capabilities(IBV_ODP_SUPPORT, IBV_ODP_SUPPORT_READ)));
  CHECK_FALSE(HasOnDemandPaging(Capabilities(IBV_ODP_SUPPORT, IBV_ODP_SUPPORT_WRITE)));
  CHECK_FALSE(HasOnDemandPaging({}));

  CHECK(CheckOnDemandPaging("mlx5_1", Capabilities(IBV_ODP_SUPPORT, kBoth)).ok());
  const absl::Status none = CheckOnDemandPaging("rxe0", {});
  CHECK(absl::IsFailedPrecondition(none));
  CHECK(none.ToString().find("rxe0 has no on-demand paging: leave out odp=1") != std::string::npos);
  const absl::Status half = CheckOnDemandPaging("rxe0", Capabilities(IBV_ODP_SUPPORT, IBV_ODP_SUPPORT_SEND));
  CHECK(half.ToString().find("for both READ and WRITE") != std::string::npos);
}

TEST_CASE("memory is open for what a peer needs, and for nothing else") {
  CHECK(RegistrationFlags(RemoteAccess::kNone, false) == IBV_ACCESS_LOCAL_WRITE);
  CHECK(RegistrationFlags(RemoteAccess::kRead, false) == IBV_ACCESS_REMOTE_READ);
  CHECK(RegistrationFlags(RemoteAccess::kWrite, false) == (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE));
  CHECK(RegistrationFlags(RemoteAccess::kReadWrite, false) ==
        (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE));
  for (const RemoteAccess access :
       {RemoteAccess::kNone, RemoteAccess::kRead, RemoteAccess::kWrite, RemoteAccess::kReadWrite}) {
    // The claim protocol's tables are among them.
    CHECK((RegistrationFlags(access, true) & IBV_ACCESS_RELAXED_ORDERING) == 0);
    const bool bulk = access == RemoteAccess::kRead || access == RemoteAccess::kWrite;
    CHECK(((RegistrationFlags(access, true) & IBV_ACCESS_ON_DEMAND) != 0) == bulk);
    CHECK((RegistrationFlags(access, true) & ~unsigned{IBV_ACCESS_ON_DEMAND}) == RegistrationFlags(access, false));
  }
}

}  // namespace
}  // namespace farfault
