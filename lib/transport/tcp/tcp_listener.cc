#include "lib/transport/tcp/tcp_listener.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/transport/tcp/tcp_channel.h"
#include "lib/transport/tcp/tcp_socket.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

constexpr int kBacklog = 256;

// Best effort: a peer that does not take 16 bytes has gone.
void Reply(int fd, TcpAnswer answer) {
  TcpHelloReply reply;
  reply.answer = answer;
  static_cast<void>(send(fd, &reply, sizeof(reply), MSG_NOSIGNAL | MSG_DONTWAIT));
}

// Closing a socket with unread bytes resets the connection, which may overtake the reply.
void Dismiss(int fd, TcpAnswer answer) {
  Reply(fd, answer);
  static_cast<void>(shutdown(fd, SHUT_WR));
  std::array<std::byte, 4096> unread;
  static_cast<void>(recv(fd, unread.data(), unread.size(), MSG_DONTWAIT));
}

bool HasHungUp(int fd) {
  std::byte next;
  const ssize_t got = recv(fd, &next, sizeof(next), MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

class TcpIncomingChannel final : public IncomingChannel {
 public:
  TcpIncomingChannel(UniqueFd socket, std::string peer, const PrivateData& private_data, MemoryTable& memory)
      : socket_(std::move(socket)), peer_(std::move(peer)), private_data_(private_data), memory_(memory) {}
  ~TcpIncomingChannel() override {
    if (socket_.valid()) Dismiss(socket_.get(), TcpAnswer::kRejected);
  }

  const PrivateData& private_data() const override { return private_data_; }
  std::string peer() const override { return peer_; }
  absl::StatusOr<std::unique_ptr<Channel>> Accept(const ChannelOptions& options) override {
    if (!socket_.valid()) return absl::FailedPreconditionError("this connection request has been accepted already");
    const int fd = socket_.get();
    absl::StatusOr<std::unique_ptr<Channel>> channel = TcpChannel::Create(std::move(socket_), peer_, options, memory_);
    // Nothing has been posted, so this is still the first thing that the peer hears.
    if (channel.ok()) Reply(fd, TcpAnswer::kAccepted);
    return channel;
  }

 private:
  UniqueFd socket_;
  std::string peer_;
  PrivateData private_data_;
  MemoryTable& memory_;
};

absl::Status ListenError(const TcpAddress& address, int error) {
  const std::string where = address.ToString();
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(
          fmt::format("port {} of {} is in use by another program: stop it (`ss -ltnp 'sport = :{}'` shows it), or "
                      "listen at another port; port 0 picks a free one",
                      address.port, where, address.port));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(
          fmt::format("this host does not have the address of {}: listen at one of its own (`ip address` shows them), "
                      "or at 0.0.0.0",
                      where));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          fmt::format("listening at {} is not permitted: ports below 1024 are for root; use a higher one", where));
    default:
      return SocketError(fmt::format("cannot listen at {}", where), error);
  }
}

absl::StatusOr<UniqueFd> OpenListeningSocket(const TcpAddress& address, const SocketAddress& resolved) {
  UniqueFd fd(socket(resolved.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ListenError(address, errno);
  // Connections of an earlier listener that linger in TIME_WAIT do not count as in use.
  const int on = 1;
  const int off = 0;
  if (setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return ListenError(address, errno);
  if (resolved.family() == AF_INET6 && setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) {
    return ListenError(address, errno);
  }
  if (bind(fd.get(), resolved.get(), resolved.length) != 0 || listen(fd.get(), kBacklog) != 0) {
    return ListenError(address, errno);
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> TcpListener::Create(const TcpAddress& address, MemoryTable& memory) {
  const absl::StatusOr<std::vector<SocketAddress>> resolved = ResolveTcpAddress(address, ResolveFor::kListening);
  if (!resolved.ok()) return resolved.status();
  absl::StatusOr<UniqueFd> fd = OpenListeningSocket(address, resolved->front());
  if (!fd.ok()) return fd.status();
  UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.valid()) return SocketError("a listener needs an eventfd", errno);
  SocketAddress bound;
  bound.length = sizeof(bound.storage);
  if (getsockname(fd->get(), bound.get(), &bound.length) != 0) return ListenError(address, errno);
  return std::unique_ptr<Listener>(new TcpListener(*std::move(fd), std::move(wake), bound.ToUrl(kTcpScheme), memory));
}

TcpListener::TcpListener(UniqueFd socket, UniqueFd wake, std::string address, MemoryTable& memory)
    : socket_(std::move(socket)), wake_(std::move(wake)), address_(std::move(address)), memory_(memory) {}

void TcpListener::Close() {
  closed_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  // The counter cannot overflow, so this does not fail.
  static_cast<void>(write(wake_.get(), &one, sizeof(one)));
  // On a listening socket this refuses new connections at once; the descriptor stays until destruction.
  static_cast<void>(shutdown(socket_.get(), SHUT_RDWR));
}

absl::StatusOr<std::unique_ptr<IncomingChannel>> TcpListener::Accept(Deadline deadline) {
  for (;;) {
    if (closed_.load(std::memory_order_acquire)) {
      pending_.clear();
      return absl::CancelledError(fmt::format("the listener at {} was closed", address_));
    }
    const bool late = deadline.Passed();
    if (absl::Status accepted = AcceptSockets(); !accepted.ok()) return accepted;
    if (std::unique_ptr<IncomingChannel> complete = TakeComplete()) return complete;
    if (late) {
      return absl::DeadlineExceededError(fmt::format("nobody connected to {} in time", address_));
    }
    if (absl::Status waited = WaitForAny(deadline); !waited.ok()) return waited;
  }
}

absl::Status TcpListener::WaitForAny(Deadline deadline) {
  polled_.assign({{wake_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}});
  for (const Pending& pending : pending_) polled_.push_back({pending.socket.get(), POLLIN, 0});
  // They came in order, so the oldest runs out first.
  if (!pending_.empty()) deadline = std::min(deadline, pending_.front().deadline);
  if (poll(polled_.data(), polled_.size(), PollTimeout(deadline)) < 0 && errno != EINTR) {
    return SocketError(fmt::format("cannot wait for connections to {}", address_), errno);
  }
  return absl::OkStatus();
}

absl::Status TcpListener::AcceptSockets() {
  for (std::size_t i = 0; i < kMostPending; ++i) {
    SocketAddress peer;
    peer.length = sizeof(peer.storage);
    UniqueFd fd(accept4(socket_.get(), peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) {
      const int error = errno;
      const bool lacking = error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
      if (lacking) return SocketError(fmt::format("a connection to {} cannot be taken", address_), error);
      const bool done = error == EAGAIN || error == EWOULDBLOCK || closed_.load(std::memory_order_acquire);
      // Anything else is an error of a connection that has ended before it was taken (accept(2)).
      if (done) break;
      continue;
    }
    if (pending_.size() == kMostPending) pending_.pop_front();
    pending_.push_back({.socket = std::move(fd),
                        .peer = peer.ToUrl(kTcpScheme),
                        .deadline = Deadline::After(kHelloTimeout),
                        .hello = {}});
  }
  return absl::OkStatus();
}

std::unique_ptr<IncomingChannel> TcpListener::TakeComplete() {
  for (auto it = pending_.begin(); it != pending_.end();) {
    // Asked first: what has come by then was in time, however long this thread is kept from reading it.
    const bool late = it->deadline.Passed();
    const HelloState state = ReadHello(*it);
    if (state == HelloState::kIncomplete && !late) {
      ++it;
      continue;
    }
    Pending taken = std::move(*it);
    it = pending_.erase(it);
    if (state != HelloState::kComplete) continue;
    return std::make_unique<TcpIncomingChannel>(std::move(taken.socket), std::move(taken.peer),
                                                taken.hello.private_data, memory_);
  }
  return nullptr;
}

TcpListener::HelloState TcpListener::ReadHello(Pending& pending) {
  while (pending.have < sizeof(TcpHello)) {
    const ssize_t got = recv(pending.socket.get(), reinterpret_cast<std::byte*>(&pending.hello) + pending.have,
                             sizeof(TcpHello) - pending.have, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) return HelloState::kUseless;
    pending.have += static_cast<std::size_t>(got);
  }
  return CheckHello(pending);
}

TcpListener::HelloState TcpListener::CheckHello(const Pending& pending) {
  const TcpHello& hello = pending.hello;
  const std::size_t magic = std::min(pending.have, hello.magic.size());
  if (std::memcmp(hello.magic.data(), kTcpMagic.data(), magic) != 0) return HelloState::kUseless;
  if (pending.have >= offsetof(TcpHello, private_data) &&
      (hello.version != kTcpWireVersion || hello.size != sizeof(TcpHello))) {
    Dismiss(pending.socket.get(), TcpAnswer::kWrongVersion);
    return HelloState::kUseless;
  }
  if (pending.have < sizeof(TcpHello)) return HelloState::kIncomplete;
  // Whoever has given up by now would only be in the way.
  return HasHungUp(pending.socket.get()) ? HelloState::kUseless : HelloState::kComplete;
}

}  // namespace farfault
