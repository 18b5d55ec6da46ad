#include "test/qemu/slow_relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <utility>

#include "absl/time/clock.h"

namespace farfault {
namespace {

constexpr std::size_t kChunk = 32u << 10;
constexpr absl::Duration kRound = absl::Milliseconds(1);

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

UniqueFd Prepared(int fd) {
  UniqueFd socket(fd);
  const int on = 1;
  if (!socket.valid() || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) return {};
  if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return {};
  return socket;
}

}  // namespace

SlowRelay::SlowRelay(const std::string& target)
    : target_port_(static_cast<std::uint16_t>(std::stoi(target.substr(target.rfind(':') + 1)))),
      listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  REQUIRE(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(listen(listener_.get(), 16) == 0);
  REQUIRE(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  address_ = fmt::format("tcp://127.0.0.1:{}", ntohs(address.sin_port));
  thread_ = std::thread([this] { Run(); });
}

SlowRelay::~SlowRelay() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void SlowRelay::Accept() {
  UniqueFd client = Prepared(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client.valid()) return;
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(target_port_);
  const bool connected = connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  UniqueFd prepared = Prepared(server);
  // Nobody there: whoever has connected here finds the connection closed, and tries again.
  if (connected && prepared.valid()) links_.push_back({{std::move(client), {}}, {std::move(prepared), {}}});
}

// One chunk at most. False: the link has come to its end.
bool SlowRelay::Move(Way& from, Way& to) {
  if (to.pending.empty()) {
    std::array<char, kChunk> chunk;
    const ssize_t count = recv(from.socket.get(), chunk.data(), chunk.size(), 0);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    to.pending.assign(chunk.data(), static_cast<std::size_t>(count));
  }
  const ssize_t sent = send(to.socket.get(), to.pending.data(), to.pending.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  to.pending.erase(0, static_cast<std::size_t>(sent));
  return true;
}

void SlowRelay::Run() {
  while (!stop_) {
    Accept();
    std::erase_if(links_,
                  [](Link& link) { return !Move(link.client, link.server) || !Move(link.server, link.client); });
    absl::SleepFor(kRound);
  }
}

}  // namespace farfault
