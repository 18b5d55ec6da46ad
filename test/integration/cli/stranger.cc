#include "test/integration/cli/stranger.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch_test_macros.hpp>

#include "lib/transport/tcp/tcp_frame.h"
#include "lib/transport/tcp/tcp_socket.h"
#include "lib/util/deadline.h"
#include "test/integration/cli/command.h"

namespace farfault {

Stranger::Stranger() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  REQUIRE(bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(listen(fd_.get(), 8) == 0);
  REQUIRE(getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  address_ = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

void Stranger::Answer(std::string_view bytes) const {
  REQUIRE(WaitForSocket(fd_.get(), POLLIN, Deadline::After(kPatience)));
  const UniqueFd peer(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(peer.valid());
  // A socket that is closed with bytes unread resets the connection.
  REQUIRE(WaitForSocket(peer.get(), POLLIN, Deadline::After(kPatience)));
  TcpHello hello;
  REQUIRE(recv(peer.get(), &hello, sizeof(hello), MSG_WAITALL) == static_cast<ssize_t>(sizeof(hello)));
  REQUIRE(send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
}

}  // namespace farfault
