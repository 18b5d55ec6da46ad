#include "lib/transport/verbs/verbs_error.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "lib/transport/connect_error.h"
#include "lib/transport/verbs/port_trouble.h"
#include "lib/util/soft_roce.h"

namespace farfault {
namespace {

// For an address of this host that belongs to no device.
constexpr std::string_view kMakeDevice =
    "for one in software: modprobe rdma_rxe && rdma link add rxe0 type rxe netdev NAME, where NAME is the network "
    "interface (`ip link` shows them)";

// Reasons of ib_cm (include/rdma/ib_cm.h), which come as the status of RDMA_CM_EVENT_REJECTED.
constexpr int kRejectNoQueuePair = 1;
constexpr int kRejectNoResources = 3;
constexpr int kRejectTimeout = 4;
constexpr int kRejectInvalidService = 8;
constexpr int kRejectStale = 10;
constexpr int kRejectByConsumer = 28;

std::string_view NameOf(Opcode opcode) {
  switch (opcode) {
    case Opcode::kRead:
      return "READ";
    case Opcode::kWrite:
      return "WRITE";
    case Opcode::kSend:
      return "SEND";
    case Opcode::kReceive:
      break;
  }
  return "receive";
}

std::string ErrorText(int error) { return std::strerror(error < 0 ? -error : error); }

absl::Status Rejected(std::string_view where, int reason, std::span<const std::byte> private_data) {
  const std::string_view text(reinterpret_cast<const char*>(private_data.data()), private_data.size());
  if (text.starts_with(kRejection)) {
    return RejectedError(fmt::format("the peer at {}", where));
  }
  switch (reason) {
    case kRejectInvalidService:
    case -ECONNREFUSED:  // iWARP
      return NobodyListensError(fmt::format(
          "nobody listens at {} over RDMA: start the peer, with verbs:// on its side, too, or check the host "
          "and the port",
          where));
    case kRejectByConsumer:
      return absl::UnavailableError(fmt::format(
          "what listens at {} took no notice of the request: it stopped, is overloaded or is not farfault; check the "
          "port, and see on that host what listens there",
          where));
    case kRejectNoQueuePair:
    case kRejectNoResources:
      return absl::UnavailableError(fmt::format("the host of {} has no resources for another connection", where));
    case kRejectStale:
      return absl::UnavailableError(fmt::format(
          "the host of {} still has a connection of an earlier process; try again in a few seconds", where));
    case kRejectTimeout:
      return absl::UnavailableError(fmt::format("the peer at {} gave up while it was being connected to", where));
    default:
      return absl::UnavailableError(
          fmt::format("the connection manager of {} rejected the connection (reason {})", where, reason));
  }
}

}  // namespace

std::string_view HintOf(int error) {
  switch (error) {
    case EACCES:
      return "; the kernel lets only those use an RDMA device who have opened it: start a session after the last fork, "
             "setuid or capset, in the process and the thread that go on with it";
    case EMFILE:
      return "; raise the limit on open files (ulimit -n)";
    case ENOMEM:
      return "; if it is locked memory: ulimit -l unlimited";
    default:
      return "";
  }
}

absl::Status RdmaError(std::string_view what, int error) {
  const bool resources = error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN || error == ENOSPC;
  return absl::Status(resources ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal,
                      fmt::format("{}: {}{}", what, ErrorText(error), HintOf(error)));
}

absl::Status NoConnectionManager(int error) {
  if (error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(
        "/dev/infiniband/rdma_cm may not be opened by this user: chmod a+rw it, or join the group that it belongs to");
  }
  return absl::NotFoundError(fmt::format(
      "this host cannot make RDMA connections ({}): load the kernel's connection manager (modprobe rdma_ucm) "
      "and have an RDMA device; {}; or use tcp://",
      ErrorText(error), SoftRoceRemedy(LookForSoftRoce())));
}

absl::Status NoRdmaDevice() {
  return absl::NotFoundError(
      fmt::format("this host has no RDMA device (`rdma link` shows them): load the driver of its adapter; {}; or "
                  "use tcp://",
                  SoftRoceRemedy(LookForSoftRoce())));
}

absl::Status NoSuchDevice(std::string_view choice, const std::vector<std::string>& names) {
  return absl::InvalidArgumentError(
      fmt::format("this host has no RDMA device {}; it has: {}", choice, fmt::join(names, ", ")));
}

absl::Status ListenError(std::string_view where, int error) {
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(
          fmt::format("{} is in use by another program: stop it (`rdma resource show cm_id` shows it), or listen at "
                      "another port; port 0 picks a free one",
                      where));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(fmt::format(
          "this host does not have the address of {}: listen at one of its own (`ip address` shows them)", where));
    case ENODEV:
      return absl::InvalidArgumentError(
          fmt::format("the address of {} does not belong to an RDMA device: listen at an address of the network "
                      "interface of one (`rdma link` shows both); {}",
                      where, kMakeDevice));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          fmt::format("listening at {} is not permitted: ports below 1024 are for root; use a higher one", where));
    default:
      return RdmaError(fmt::format("cannot listen at {}", where), error);
  }
}

absl::Status ResolveError(std::string_view where, int error) {
  switch (error < 0 ? -error : error) {
    case ENODEV:
    case EADDRNOTAVAIL:
      return absl::UnavailableError(fmt::format(
          "{} is not reached through an RDMA device of this host: its route (`ip route get`) must lead over the "
          "network "
          "interface of one (`rdma link` shows both) that is up and has the route's source address, from which the "
          "device's GID follows (`ip address`); {}",
          where, kMakeDevice));
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
      return absl::UnavailableError(
          fmt::format("{} cannot be reached: {}; check the address, routes, the link and the "
                      "port of the RDMA device (`rdma link`)",
                      where, ErrorText(error)));
    case EINVAL:
      return absl::InvalidArgumentError(
          fmt::format("{} is not an address that one can connect to from this host's RDMA device", where));
    default:
      return absl::UnavailableError(fmt::format("no route to {}: {}", where, ErrorText(error)));
  }
}

absl::Status ConnectError(std::string_view where, rdma_cm_event_type event, int status,
                          std::span<const std::byte> private_data, std::string_view device) {
  switch (event) {
    case RDMA_CM_EVENT_REJECTED:
      return Rejected(where, status, private_data);
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
      return ResolveError(where, status);
    case RDMA_CM_EVENT_UNREACHABLE:
      return absl::UnavailableError(
          fmt::format("the host of {} did not answer: check that it is up, has an RDMA device at this address, and "
                      "that no firewall drops RoCE (UDP port 4791); without RDMA there, use tcp:// at both ends",
                      where));
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      return absl::FailedPreconditionError(fmt::format("cannot connect to {}: {}", where, RemovedText(device)));
    default:
      return absl::UnavailableError(
          fmt::format("no connection to {}: {} ({})", where, rdma_event_str(event), ErrorText(status)));
  }
}

bool IsStale(rdma_cm_event_type event, int status) { return event == RDMA_CM_EVENT_REJECTED && status == kRejectStale; }

absl::Status RegistrationError(std::uint64_t bytes, RemoteAccess access, std::string_view device, int error) {
  const std::string what =
      fmt::format("{} bytes ({} MiB) cannot be registered with RDMA device {}", bytes, bytes >> 20, device);
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const bool limited = limit.rlim_cur != RLIM_INFINITY;
  switch (error) {
    case ENOMEM:
    case EAGAIN:
      if (limited) {
        return absl::ResourceExhaustedError(
            fmt::format("{}: registered memory is locked, and this process may lock {} bytes in all (RLIMIT_MEMLOCK): "
                        "ulimit -l unlimited, or LimitMEMLOCK=infinity in the systemd unit",
                        what, limit.rlim_cur));
      }
      return absl::ResourceExhaustedError(
          fmt::format("{}: {}; the host's memory or the device's tables are full", what, ErrorText(error)));
    case EFAULT: {
      const bool writes = access == RemoteAccess::kWrite || access == RemoteAccess::kReadWrite;
      return absl::InvalidArgumentError(
          fmt::format("{}: the range is not all mapped{}, or is armed by userfaultfd already", what,
                      writes ? " and writable" : ""));
    }
    default:
      return RdmaError(what, error);
  }
}

Failure CompletionFailure(Opcode opcode, ibv_wc_status status) {
  const std::string_view name = NameOf(opcode);
  switch (status) {
    case IBV_WC_WR_FLUSH_ERR:
      // Nobody ended it before, or that would have been the reason.
      return {absl::StatusCode::kUnavailable,
              "this host's RDMA device gave the connection up without a reason, as SoftRoCE does when it cannot send a "
              "packet (link, firewall, `tc`)",
              true};
    case IBV_WC_REM_ACCESS_ERR:
      return {
          absl::StatusCode::kPermissionDenied,
          fmt::format("the peer refused this side's {}: the key is unknown or revoked, or the range reaches outside "
                      "the registered memory, or the memory is closed to it",
                      name)};
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
      return {absl::StatusCode::kPermissionDenied,
              fmt::format("the local bytes of a {} are not inside the memory of their local key", name)};
    case IBV_WC_LOC_LEN_ERR:
      return {absl::StatusCode::kOutOfRange, opcode == Opcode::kReceive
                                                 ? "the peer's message is longer than the buffer that waits for it"
                                                 : fmt::format("a {} is longer than the device allows", name)};
    case IBV_WC_REM_INV_REQ_ERR:
      return {
          absl::StatusCode::kOutOfRange,
          fmt::format("the peer refused this side's {}: it is longer than the buffer that waits for it, or of a kind "
                      "that its device does not do",
                      name)};
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RESP_TIMEOUT_ERR:
      return {absl::StatusCode::kUnavailable,
              "the peer does not answer any more: its host, its process or the link is down"};
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return {absl::StatusCode::kUnavailable, "the peer offers no buffer for messages any more"};
    default:
      return {absl::StatusCode::kUnavailable, fmt::format("a {} failed: {}", name, ibv_wc_status_str(status))};
  }
}

Failure EventFailure(rdma_cm_event_type event, int status, std::string_view device) {
  switch (event) {
    case RDMA_CM_EVENT_DISCONNECTED:
    case RDMA_CM_EVENT_REJECTED:
      return {absl::StatusCode::kUnavailable, "the peer closed the channel, or its process ended", true};
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      return {absl::StatusCode::kUnavailable, RemovedText(device)};
    default:
      return {
          absl::StatusCode::kUnavailable,
          fmt::format("the connection manager gave the channel up: {} ({})", rdma_event_str(event), ErrorText(status)),
          true};
  }
}

Failure EventFailure(ibv_event_type event) {
  switch (event) {
    case IBV_EVENT_QP_ACCESS_ERR:
      return {absl::StatusCode::kPermissionDenied,
              "refused the peer's request: its key is unknown or revoked, or it reaches outside the registered memory, "
              "or the memory is closed to it"};
    case IBV_EVENT_QP_REQ_ERR:
      return {absl::StatusCode::kOutOfRange, "refused the peer's request: it makes no sense or is too long"};
    default:
      return {absl::StatusCode::kUnavailable,
              fmt::format("the device failed: {}; `dmesg` may say why", ibv_event_type_str(event))};
  }
}

}  // namespace farfault
