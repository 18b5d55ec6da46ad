#include "test/unit/transport/tcp/raw_peer.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "lib/transport/tcp/tcp_address.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

}  // namespace

RawPeer::RawPeer(std::string_view address) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const auto parsed = ParseTcpAddress(address);
  REQUIRE(parsed.ok());
  const auto resolved = ResolveTcpAddress(*parsed, ResolveFor::kConnecting);
  REQUIRE(resolved.ok());
  REQUIRE(connect(socket_.get(), resolved->front().get(), resolved->front().length) == 0);
  const timeval timeout = absl::ToTimeval(kPatience);
  REQUIRE(setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
}

void RawPeer::Send(std::span<const std::byte> bytes) const {
  // The other side may have had enough already.
  static_cast<void>(send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
}

std::vector<std::byte> RawPeer::Receive(std::size_t count) const {
  std::vector<std::byte> bytes(count);
  const ssize_t got = recv(socket_.get(), bytes.data(), count, MSG_WAITALL);
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

void RawPeer::FinishSending() const {
  // The other side may have broken the connection off already.
  static_cast<void>(shutdown(socket_.get(), SHUT_WR));
}

bool RawPeer::SeesEnd() const {
  std::array<std::byte, 4096> bytes;
  ssize_t got = 1;
  while (got > 0) got = recv(socket_.get(), bytes.data(), bytes.size(), 0);
  return got == 0 || errno == ECONNRESET;
}

RawConnection::RawConnection(const ChannelOptions& options) {
  auto made = MakeTransport("tcp://127.0.0.1:0");
  REQUIRE(made.ok());
  transport = *std::move(made);
  auto listening = transport->Listen("tcp://127.0.0.1:0");
  REQUIRE(listening.ok());
  listener = *std::move(listening);
  peer = std::make_unique<RawPeer>(listener->address());
  peer->SendStruct(TcpHello{});
  auto incoming = listener->Accept(Deadline::After(kPatience));
  REQUIRE(incoming.ok());
  auto accepted = (*incoming)->Accept(options);
  REQUIRE(accepted.ok());
  channel = *std::move(accepted);
  REQUIRE(peer->Receive(sizeof(TcpHelloReply)).size() == sizeof(TcpHelloReply));
}

bool RawConnection::PollUntilBroken() const {
  std::array<Completion, 8> completions;
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline) {
    channel->Poll(completions);
    if (channel->broken()) return true;
    std::this_thread::yield();
  }
  return false;
}

}  // namespace farfault
