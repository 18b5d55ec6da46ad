#include "lib/transport/tcp/tcp_socket.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lib/util/deadline.h"

namespace farfault {
namespace {

constexpr int kKeepaliveIdleSeconds = 5;
constexpr int kKeepaliveIntervalSeconds = 5;
constexpr int kKeepaliveProbes = 3;
static_assert(absl::Seconds(kKeepaliveIdleSeconds + kKeepaliveIntervalSeconds * kKeepaliveProbes) ==
              kTcpDeadPeerTimeout);

}  // namespace

absl::Status SocketError(std::string_view what, int error) {
  const bool resources = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
  return absl::Status(resources ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal,
                      fmt::format("{}: {}{}", what, std::strerror(error),
                                  error == EMFILE ? "; raise the limit on open files (ulimit -n)" : ""));
}

absl::Status TuneChannelSocket(int fd) {
  struct Option {
    int level;
    int name;
    int value;
    std::string_view text;
  };
  const auto timeout_ms = static_cast<int>(absl::ToInt64Milliseconds(kTcpDeadPeerTimeout));
  for (const Option& option :
       {Option{IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"}, Option{SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"},
        Option{IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds, "TCP_KEEPIDLE"},
        Option{IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds, "TCP_KEEPINTVL"},
        Option{IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes, "TCP_KEEPCNT"},
        Option{IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms, "TCP_USER_TIMEOUT"}}) {
    if (setsockopt(fd, option.level, option.name, &option.value, sizeof(option.value)) == 0) continue;
    return SocketError(fmt::format("the socket option {} cannot be set", option.text), errno);
  }
  return absl::OkStatus();
}

int PollTimeout(Deadline deadline) {
  if (deadline.never()) return -1;
  const absl::Duration left = deadline.Left();
  constexpr std::int64_t kMost = 1'000'000;
  return static_cast<int>(
      std::clamp<std::int64_t>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))), 0, kMost));
}

bool WaitForSocket(int fd, short events, Deadline deadline) {
  for (;;) {
    pollfd waited{fd, events, 0};
    const int timeout = PollTimeout(deadline);
    const int ready = poll(&waited, 1, timeout);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
    if (ready == 0 && deadline.Passed()) return false;
  }
}

}  // namespace farfault
