#include "lib/cli/pager/unix_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace farfault {
namespace {

constexpr std::size_t kMostFds = 8;

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(fmt::format("the socket path '{}' has {} bytes; 1 to {} are possible", path,
                                                  path.size(), sizeof(address.sun_path) - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::Status SocketError(const std::string& path, const char* what) {
  return absl::ErrnoToStatus(errno, fmt::format("the socket '{}': {}", path, what));
}

}  // namespace

absl::StatusOr<UniqueFd> ConnectUnix(const std::string& path) {
  const auto address = AddressOf(path);
  if (!address.ok()) return address.status();
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return SocketError(path, "socket");
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) == 0) return socket;
  if (errno == ENOENT || errno == ECONNREFUSED) {
    return absl::UnavailableError(
        fmt::format("nobody listens on the socket '{}': {}; start first the program that does, or check the path", path,
                    std::strerror(errno)));
  }
  switch (errno) {
    case EACCES:
    case EPERM:
      return SocketError(path, "cannot be connected to; may this user write to it?");
    case EPROTOTYPE:
      return SocketError(path, "is no stream socket; check the path");
    case EAGAIN:
      return SocketError(path, "cannot be connected to now: too many wait for its program; try again");
    default:
      return SocketError(path, "cannot be connected to; check the path");
  }
}

absl::StatusOr<UniqueFd> ListenUnix(const std::string& path) {
  const auto address = AddressOf(path);
  if (!address.ok()) return address.status();
  struct stat info = {};
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return absl::AlreadyExistsError(fmt::format("'{}' is there already and is no socket: choose another path", path));
    }
    if (ConnectUnix(path).ok()) {
      return absl::AlreadyExistsError(
          fmt::format("another program listens on the socket '{}': end it, or choose another path", path));
    }
    static_cast<void>(unlink(path.c_str()));
  }
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return SocketError(path, "socket");
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return SocketError(path, "cannot be made; does its folder exist, and may we write there?");
  }
  if (listen(socket.get(), SOMAXCONN) != 0) return SocketError(path, "listen");
  return socket;
}

absl::StatusOr<Received> ReceiveWithFds(int socket, std::span<char> buffer) {
  iovec data{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return absl::UnavailableError("nothing has come");
  if (got < 0) return absl::ErrnoToStatus(errno, "recvmsg");
  Received received{
      .bytes = static_cast<std::size_t>(got), .fds = {}, .fds_lost = (message.msg_flags & MSG_CTRUNC) != 0};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      received.fds.emplace_back(fd);
    }
  }
  return received;
}

absl::Status SendAll(int socket, std::string_view bytes, std::span<const int> fds) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control{};
  while (!bytes.empty()) {
    iovec data{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size_bytes());
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0)
      return absl::UnavailableError(fmt::format("the peer does not listen any more: {}", std::strerror(errno)));
    bytes.remove_prefix(static_cast<std::size_t>(sent));
    fds = {};
  }
  return absl::OkStatus();
}

absl::Status ReceiveAll(int socket, void* bytes, std::size_t count) {
  auto* at = static_cast<std::byte*>(bytes);
  while (count > 0) {
    const ssize_t got = recv(socket, at, count, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::UnavailableError(fmt::format("the peer is lost: {}", std::strerror(errno)));
    if (got == 0) return absl::UnavailableError("the peer has hung up");
    at += got;
    count -= static_cast<std::size_t>(got);
  }
  return absl::OkStatus();
}

pid_t PeerProcess(int socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 ? peer.pid : 0;
}

}  // namespace farfault
