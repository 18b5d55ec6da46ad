#include "lib/cli/demo/host_link.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/time/clock.h"
#include "lib/cli/workload/timeline.h"
#include "lib/transport/socket_address.h"
#include "lib/transport/tcp/tcp_socket.h"
#include "lib/util/deadline.h"
#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

constexpr std::string_view kScheme = "tcp";
constexpr int kClockQuestions = 9;

absl::Status Failed(std::string_view what, std::string_view address) {
  return absl::UnavailableError(fmt::format("{} {}: {}", what, address, std::strerror(errno)));
}

absl::StatusOr<SocketAddress> Resolve(std::string_view address, ResolveFor purpose) {
  const absl::StatusOr<HostPort> host_port = ParseHostPort(kScheme, address);
  if (!host_port.ok()) return host_port.status();
  const auto resolved = ResolveHostPort(kScheme, *host_port, purpose);
  if (!resolved.ok()) return resolved.status();
  return resolved->front();
}

SocketAddress OwnAddress(int fd) {
  SocketAddress own;
  own.length = sizeof(own.storage);
  if (getsockname(fd, own.get(), &own.length) != 0) own.length = 0;
  return own;
}

absl::StatusOr<std::unique_ptr<RoleLink>> Wrap(UniqueFd fd) {
  if (absl::Status tuned = TuneChannelSocket(fd.get()); !tuned.ok()) return tuned;
  return std::make_unique<RoleLink>(fd.release());
}

absl::StatusOr<UniqueFd> TryConnect(SocketAddress address, std::string_view text) {
  UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid() || connect(fd.get(), address.get(), address.length) != 0) return Failed("cannot connect to", text);
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RoleLink>> AwaitCoordinator(std::string_view address,
                                                           const std::function<void(const std::string&)>& listening) {
  absl::StatusOr<SocketAddress> own = Resolve(address, ResolveFor::kListening);
  if (!own.ok()) return own.status();
  const UniqueFd listener(socket(own->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  if (!listener.valid() || setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
      bind(listener.get(), own->get(), own->length) != 0 || listen(listener.get(), 1) != 0) {
    return Failed("cannot listen at", address);
  }
  listening(OwnAddress(listener.get()).ToUrl(kScheme));
  for (;;) {
    UniqueFd fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd.valid()) return Wrap(std::move(fd));
    if (errno != EINTR && errno != ECONNABORTED) return Failed("cannot accept at", address);
  }
}

absl::StatusOr<std::unique_ptr<RoleLink>> ConnectToSource(std::string_view address, Deadline deadline) {
  const absl::StatusOr<SocketAddress> resolved = Resolve(address, ResolveFor::kConnecting);
  if (!resolved.ok()) return resolved.status();
  for (;;) {
    absl::StatusOr<UniqueFd> fd = TryConnect(*resolved, address);
    if (fd.ok()) return Wrap(*std::move(fd));
    if (deadline.Passed()) {
      return absl::UnavailableError(
          fmt::format("{}; start `farfault demo --role source --listen {}` on the other host, with its own address",
                      std::string(fd.status().message()), address));
    }
    absl::SleepFor(absl::Milliseconds(200));
  }
}

absl::StatusOr<std::string> OwnHost(const RoleLink& link) {
  const SocketAddress own = OwnAddress(link.fd());
  if (own.length == 0) return Failed("no address of", "the connection to the source");
  std::string host = own.ToUrl("");
  return host.substr(3, host.rfind(':') - 3);  // "://HOST:PORT"
}

absl::StatusOr<ClockOffset> CompareClocks(RoleLink& source, Deadline deadline) {
  ClockOffset best{0, INT64_MAX};
  for (int i = 0; i < kClockQuestions; ++i) {
    const std::int64_t asked = MonotonicNanos();
    if (absl::Status sent = source.Send("clock"); !sent.ok()) return sent;
    const absl::StatusOr<nlohmann::json> answer = source.Receive(deadline);
    if (!answer.ok()) return answer.status();
    const std::int64_t half = (MonotonicNanos() - asked) / 2;
    if (half >= best.error_ns) continue;
    best = {(*answer)["now"].get<std::int64_t>() - asked - half, half};
  }
  return best;
}

}  // namespace farfault
