#include "bench/baseline/socket_copy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace farfault::bench {
namespace {

absl::Status SetBuffers(int socket, int bytes) {
  if (bytes == 0) return absl::OkStatus();
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) != 0 ||
      setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) != 0) {
    return absl::ErrnoToStatus(errno, "setting socket buffers");
  }
  return absl::OkStatus();
}

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

absl::StatusOr<CopyListener> CopyListener::Create(const SocketCopyShape& shape) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener.valid()) return absl::ErrnoToStatus(errno, "socket");
  // What it accepts inherits its buffers.
  if (absl::Status status = SetBuffers(listener.get(), shape.buffer_bytes); !status.ok()) return status;
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), generic, length) != 0 || listen(listener.get(), 1) != 0 ||
      getsockname(listener.get(), generic, &length) != 0) {
    return absl::ErrnoToStatus(errno, "listening on loopback");
  }
  return CopyListener(std::move(listener), ntohs(address.sin_port));
}

absl::StatusOr<UniqueFd> CopyListener::Accept() const {
  UniqueFd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection.valid()) return absl::ErrnoToStatus(errno, "accepting over loopback");
  return connection;
}

absl::StatusOr<UniqueFd> ConnectOverLoopback(std::uint16_t port, const SocketCopyShape& shape) {
  UniqueFd connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!connection.valid()) return absl::ErrnoToStatus(errno, "socket");
  if (absl::Status status = SetBuffers(connection.get(), shape.buffer_bytes); !status.ok()) return status;
  const sockaddr_in address = Loopback(port);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, "connecting over loopback");
  }
  const int on = 1;
  if (setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
    return absl::ErrnoToStatus(errno, "TCP_NODELAY");
  }
  return connection;
}

absl::Status SendAll(int socket, std::span<const std::byte> bytes, std::size_t chunk_bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), std::min(chunk_bytes, bytes.size()), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return absl::ErrnoToStatus(errno, "send");
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return absl::OkStatus();
}

absl::Status ReceiveAll(int socket, std::span<std::byte> bytes, std::size_t chunk_bytes) {
  while (!bytes.empty()) {
    const ssize_t received = recv(socket, bytes.data(), std::min(chunk_bytes, bytes.size()), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received == 0) return absl::UnavailableError("the sender closed early");
    if (received < 0) return absl::ErrnoToStatus(errno, "recv");
    bytes = bytes.subspan(static_cast<std::size_t>(received));
  }
  return absl::OkStatus();
}

}  // namespace farfault::bench
