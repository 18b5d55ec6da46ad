#include "lib/transport/tcp/tcp_connect.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "lib/transport/connect_error.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "lib/transport/tcp/tcp_socket.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

// Of an address where somebody took the connection and did not behave.
constexpr std::string_view kCheckPeer = "check the port, and see on that host what listens there";

absl::Status ConnectError(const SocketAddress& address, int error) {
  const std::string where = address.ToUrl(kTcpScheme);
  switch (error) {
    case ECONNREFUSED:
      return NobodyListensError(
          fmt::format("nobody listens at {}: start the peer, or check the host and the port", where));
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
      return absl::UnavailableError(fmt::format("{} cannot be reached: {}; check the address, routes and firewalls",
                                                where, std::strerror(error)));
    case EADDRNOTAVAIL:
      return absl::UnavailableError(
          fmt::format("no connection to {}: this host has no free port for it, or no such address", where));
    case EACCES:
    case EPERM:
      return absl::UnavailableError(
          fmt::format("this host's firewall or security policy forbids connections to {}", where));
    case EINVAL:
      return absl::InvalidArgumentError(fmt::format("{} is not an address that one can connect to", where));
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return SocketError(fmt::format("no socket for a connection to {}", where), error);
    default:
      return absl::UnavailableError(fmt::format("no connection to {}: {}", where, std::strerror(error)));
  }
}

// A port of the ephemeral range that nobody listens at may be picked for the connecting socket itself, which then talks
// to itself.
bool TalksToItself(int fd) {
  SocketAddress own;
  SocketAddress peer;
  own.length = peer.length = sizeof(sockaddr_storage);
  if (getsockname(fd, own.get(), &own.length) != 0 || getpeername(fd, peer.get(), &peer.length) != 0) return false;
  return own.length == peer.length && std::memcmp(&own.storage, &peer.storage, own.length) == 0;
}

absl::StatusOr<UniqueFd> ConnectSocket(const SocketAddress& address, Deadline deadline) {
  UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ConnectError(address, errno);
  if (connect(fd.get(), address.get(), address.length) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return ConnectError(address, errno);
    if (!WaitForSocket(fd.get(), POLLOUT, deadline)) {
      return absl::DeadlineExceededError(
          fmt::format("{} did not answer in time: check that the host is up and that no firewall drops the port",
                      address.ToUrl(kTcpScheme)));
    }
    int error = 0;
    socklen_t length = sizeof(error);
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    if (error != 0) return ConnectError(address, error);
  }
  if (TalksToItself(fd.get())) return ConnectError(address, ECONNREFUSED);
  return fd;
}

absl::Status CheckReply(const TcpHelloReply& reply, const std::string& where) {
  if (reply.magic != kTcpMagic) {
    return absl::FailedPreconditionError(
        fmt::format("what listens at {} is not farfault: it answers in another protocol; check the port", where));
  }
  if (reply.version != kTcpWireVersion || reply.answer == TcpAnswer::kWrongVersion) {
    return absl::FailedPreconditionError(fmt::format(
        "the peer at {} speaks version {} of the tcp wire format, this side speaks version {}: use the same "
        "version of farfault on both hosts",
        where, reply.version, kTcpWireVersion));
  }
  if (reply.answer == TcpAnswer::kRejected) {
    return RejectedError(fmt::format("the peer at {}", where));
  }
  if (reply.answer != TcpAnswer::kAccepted) {
    return absl::FailedPreconditionError(
        fmt::format("the peer at {} sent an answer that makes no sense; {}", where, kCheckPeer));
  }
  return absl::OkStatus();
}

absl::Status SendHello(int fd, const PrivateData& private_data, const std::string& where) {
  TcpHello hello;
  hello.private_data = private_data;
  // The buffers of a new socket take far more than this.
  const ssize_t sent = send(fd, &hello, sizeof(hello), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == static_cast<ssize_t>(sizeof(hello))) return absl::OkStatus();
  return absl::UnavailableError(fmt::format("the connection to {} was lost at once{}{}; {}", where,
                                            sent < 0 ? ": " : "", sent < 0 ? std::strerror(errno) : "", kCheckPeer));
}

absl::Status ReceiveReply(int fd, const std::string& where, Deadline deadline) {
  TcpHelloReply reply;
  std::size_t have = 0;
  while (have < sizeof(reply)) {
    const ssize_t got = recv(fd, reinterpret_cast<std::byte*>(&reply) + have, sizeof(reply) - have, MSG_DONTWAIT);
    if (got > 0) {
      have += static_cast<std::size_t>(got);
    } else if (got == 0) {
      return absl::UnavailableError(
          fmt::format("the peer at {} closed the connection without an answer: it stopped, or it is not farfault; {}",
                      where, kCheckPeer));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!WaitForSocket(fd, POLLIN, deadline)) {
        return absl::DeadlineExceededError(fmt::format(
            "what listens at {} took the connection but did not answer in time: it is busy, or it is not farfault; {}",
            where, kCheckPeer));
      }
    } else if (errno != EINTR) {
      return absl::UnavailableError(fmt::format("the peer at {} broke the connection off without an answer: {}; {}",
                                                where, std::strerror(errno), kCheckPeer));
    }
  }
  return CheckReply(reply, where);
}

absl::StatusOr<TcpConnection> ConnectTo(const SocketAddress& address, const PrivateData& private_data,
                                        Deadline deadline) {
  auto fd = ConnectSocket(address, deadline);
  if (!fd.ok()) return fd.status();
  std::string where = address.ToUrl(kTcpScheme);
  if (absl::Status sent = SendHello(fd->get(), private_data, where); !sent.ok()) return sent;
  if (absl::Status answered = ReceiveReply(fd->get(), where, deadline); !answered.ok()) return answered;
  return TcpConnection{*std::move(fd), std::move(where)};
}

}  // namespace

absl::StatusOr<TcpConnection> ConnectTcp(const TcpAddress& address, const PrivateData& private_data,
                                         Deadline deadline) {
  if (address.port == 0) {
    return absl::InvalidArgumentError(fmt::format(
        "{} has port 0, which only a listener can use: write the port that the peer listens at", address.ToString()));
  }
  const absl::StatusOr<std::vector<SocketAddress>> candidates = ResolveTcpAddress(address, ResolveFor::kConnecting);
  if (!candidates.ok()) return candidates.status();
  absl::Status failure;
  std::size_t left = candidates->size();
  for (const SocketAddress& candidate : *candidates) {
    // An address that swallows everything leaves the others their share of the time.
    auto connection =
        ConnectTo(candidate, private_data, left == 1 ? deadline : Deadline::After(deadline.Left() / left));
    --left;
    if (connection.ok()) return connection;
    // That one address is free says less than what is wrong at another.
    if (failure.ok() || IsNobodyListens(failure) || !IsNobodyListens(connection.status())) {
      failure = connection.status();
    }
    // It was reached, and said no.
    if (absl::IsFailedPrecondition(failure) || absl::IsPermissionDenied(failure)) break;
  }
  return failure;
}

}  // namespace farfault
