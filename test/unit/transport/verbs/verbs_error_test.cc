#include "lib/transport/verbs/verbs_error.h"

#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lib/transport/connect_error.h"
#include "lib/transport/verbs/port_trouble.h"
#include "lib/transport/verbs/verbs_failure.h"
#include "lib/util/soft_roce.h"

namespace farfault {
namespace {

constexpr std::string_view kWhere = "verbs://192.0.2.7:7000";

bool Mentions(const absl::Status& status, std::string_view what) {
  INFO(status.ToString());
  return std::string_view(status.message().data(), status.message().size()).find(what) != std::string_view::npos;
}

TEST_CASE("a host without RDMA is told how to get some") {
  const std::string remedy = SoftRoceRemedy(LookForSoftRoce());
  for (const absl::Status& status : {NoRdmaDevice(), NoConnectionManager(ENODEV)}) CHECK(Mentions(status, remedy));
  CHECK(Mentions(ListenError(kWhere, ENODEV), "rdma link add rxe0 type rxe netdev NAME"));
  CHECK(absl::IsNotFound(NoRdmaDevice()));
  CHECK(absl::IsNotFound(NoConnectionManager(ENODEV)));
  CHECK(absl::IsPermissionDenied(NoConnectionManager(EACCES)));
  const absl::Status other = NoSuchDevice("mlx5_9", {"rxe0", "rxe1"});
  CHECK(absl::IsInvalidArgument(other));
  CHECK(Mentions(other, "mlx5_9"));
  CHECK(Mentions(other, "rxe0, rxe1"));
}

TEST_CASE("errors of listening carry the code that callers go by, and the address") {
  CHECK(absl::IsAlreadyExists(ListenError(kWhere, EADDRINUSE)));
  CHECK(absl::IsInvalidArgument(ListenError(kWhere, EADDRNOTAVAIL)));
  CHECK(absl::IsInvalidArgument(ListenError(kWhere, ENODEV)));
  CHECK(absl::IsPermissionDenied(ListenError(kWhere, EACCES)));
  for (const int error : {EADDRINUSE, EADDRNOTAVAIL, ENODEV, EACCES, ENOMEM, EIO}) {
    CHECK(Mentions(ListenError(kWhere, error), kWhere));
  }
}

absl::Status Rejection(int reason, std::string_view data = {}) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(data.data());
  return ConnectError(kWhere, RDMA_CM_EVENT_REJECTED, reason, {bytes, data.size()}, "rxe0");
}

TEST_CASE("only the peer's own word is a rejection for good") {
  CHECK(absl::IsPermissionDenied(Rejection(28, kRejection)));
  CHECK(Mentions(Rejection(28, kRejection), "check the port"));
  // The private data of InfiniBand is padded with zeros.
  CHECK(absl::IsPermissionDenied(Rejection(28, std::string(kRejection) + std::string(100, '\0'))));
  CHECK(absl::IsUnavailable(Rejection(28)));
  CHECK(absl::IsUnavailable(Rejection(28, "something else")));
  for (const int reason : {1, 3, 4, 8, 10, 99, -ECONNREFUSED}) CHECK(absl::IsUnavailable(Rejection(reason)));
  CHECK(Mentions(Rejection(8), "nobody listens"));
  CHECK(Mentions(Rejection(-ECONNREFUSED), "nobody listens"));
  for (const int reason : {1, 3, 4, 10, 28, 99}) CHECK(!IsNobodyListens(Rejection(reason)));
  for (const int reason : {8, -ECONNREFUSED}) CHECK(IsNobodyListens(Rejection(reason)));
  CHECK(IsStale(RDMA_CM_EVENT_REJECTED, 10));
  CHECK(!IsStale(RDMA_CM_EVENT_REJECTED, 8));
  CHECK(!IsStale(RDMA_CM_EVENT_UNREACHABLE, 10));
}

TEST_CASE("hosts that cannot be reached may be tried again") {
  CHECK(absl::IsUnavailable(ConnectError(kWhere, RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT, {}, "rxe0")));
  CHECK(absl::IsUnavailable(ConnectError(kWhere, RDMA_CM_EVENT_ADDR_ERROR, -ETIMEDOUT, {}, "rxe0")));
  CHECK(absl::IsUnavailable(ConnectError(kWhere, RDMA_CM_EVENT_ADDR_ERROR, -ENODEV, {}, "rxe0")));
  CHECK(Mentions(ConnectError(kWhere, RDMA_CM_EVENT_ADDR_ERROR, -ENODEV, {}, "rxe0"), "rdma link"));
  CHECK(absl::IsInvalidArgument(ResolveError(kWhere, EINVAL)));
}

TEST_CASE("memory that may not be locked says how much it is, the limit and the remedy") {
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_MEMLOCK, &before) == 0);
  const rlimit low{std::min<rlim_t>(before.rlim_max, 65536), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &low) == 0);
  const absl::Status limited = RegistrationError(3u << 20, RemoteAccess::kWrite, "rxe0", ENOMEM);
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &before) == 0);
  CHECK(absl::IsResourceExhausted(limited));
  for (const std::string_view part :
       {"3145728 bytes", "rxe0", "65536 bytes", "RLIMIT_MEMLOCK", "ulimit -l unlimited", "LimitMEMLOCK=infinity"}) {
    CHECK(Mentions(limited, part));
  }
  CHECK(absl::IsInvalidArgument(RegistrationError(4096, RemoteAccess::kRead, "rxe0", EFAULT)));
}

TEST_CASE("the reason of a failure outlives what follows from it, and is outlived by nothing") {
  VerbsFailure failure("channel 'demand' with verbs://192.0.2.7:7000");
  CHECK(failure.status().ok());
  CHECK(!failure.broken());
  CHECK(failure.Record(EventFailure(RDMA_CM_EVENT_DISCONNECTED, 0, "rxe0")));
  CHECK(failure.broken());
  CHECK(absl::IsUnavailable(failure.status()));
  CHECK(!failure.Record(CompletionFailure(Opcode::kRead, IBV_WC_REM_ACCESS_ERR)));
  CHECK(absl::IsPermissionDenied(failure.status()));
  CHECK(Mentions(failure.status(), "channel 'demand'"));
  CHECK(Mentions(failure.status(), "READ"));
  CHECK(!failure.Record(CompletionFailure(Opcode::kRead, IBV_WC_RETRY_EXC_ERR)));
  CHECK(!failure.Record(CompletionFailure(Opcode::kRead, IBV_WC_WR_FLUSH_ERR)));
  CHECK(absl::IsPermissionDenied(failure.status()));
}

TEST_CASE("closing is not overruled by what it brings about") {
  VerbsFailure failure("channel");
  CHECK(failure.Record({absl::StatusCode::kCancelled, "it was closed here"}));
  CHECK(!failure.Record(CompletionFailure(Opcode::kSend, IBV_WC_WR_FLUSH_ERR)));
  CHECK(!failure.Record(EventFailure(RDMA_CM_EVENT_DISCONNECTED, 0, "rxe0")));
  CHECK(absl::IsCancelled(failure.status()));
}

TEST_CASE("a device that was removed is named, with what brings it back") {
  const Failure removed = EventFailure(RDMA_CM_EVENT_DEVICE_REMOVAL, 0, "rxe7");
  CHECK(!removed.generic);
  CHECK(removed.text.find("rxe7 was removed") != std::string::npos);
  CHECK(removed.text.find("rdma link add rxe7") != std::string::npos);
  const absl::Status connecting = ConnectError(kWhere, RDMA_CM_EVENT_DEVICE_REMOVAL, 0, {}, "rxe7");
  // Not worth a retry.
  CHECK(absl::IsFailedPrecondition(connecting));
  CHECK(Mentions(connecting, "rxe7 was removed"));
}

TEST_CASE("what is wrong at this end goes with the reason of the failure, the first and the real one") {
  VerbsFailure failure("channel 'demand' with verbs://192.0.2.7:7000");
  CHECK(failure.Record(EventFailure(RDMA_CM_EVENT_DISCONNECTED, 0, "rxe0"), "port 1 is down"));
  CHECK(Mentions(failure.status(), "port 1 is down"));
  CHECK(!failure.Record(CompletionFailure(Opcode::kRead, IBV_WC_RETRY_EXC_ERR)));
  CHECK(Mentions(failure.status(), "does not answer"));
  CHECK(Mentions(failure.status(), "port 1 is down"));
}

TEST_CASE("a port that is not active is told with its remedy") {
  CHECK(PortTroubleText("mlx5_0", 1, IBV_PORT_ACTIVE, true, "eth4").empty());
  const std::string ethernet = PortTroubleText("mlx5_0", 2, IBV_PORT_DOWN, true, "eth4");
  CHECK(ethernet.find("port 2 of this host's RDMA device mlx5_0 is down: ") != std::string::npos);
  CHECK(ethernet.find("ip link set eth4 up") != std::string::npos);
  const std::string unmanaged = PortTroubleText("mlx5_0", 1, IBV_PORT_INIT, false, "");
  CHECK(unmanaged.find("is not active (\"init\")") != std::string::npos);
  CHECK(unmanaged.find("subnet manager") != std::string::npos);
  CHECK(PortTroubleText("mlx5_0", 1, IBV_PORT_DOWN, false, "").find("cable") != std::string::npos);
}

}  // namespace
}  // namespace farfault
