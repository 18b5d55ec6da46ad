#include "lib/transport/tcp/tcp_connect.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <thread>

#include "lib/transport/connect_error.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

// A plain socket that listens on a free port of the loopback.
class LoopbackServer {
 public:
  explicit LoopbackServer(int backlog) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    SocketAddress address;
    auto& in = reinterpret_cast<sockaddr_in&>(address.storage);
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.length = sizeof(in);
    REQUIRE(bind(fd_.get(), address.get(), address.length) == 0);
    REQUIRE(listen(fd_.get(), backlog) == 0);
    REQUIRE(getsockname(fd_.get(), address.get(), &address.length) == 0);
    port_ = ntohs(in.sin_port);
  }

  int fd() const { return fd_.get(); }
  TcpAddress address() const { return {"127.0.0.1", port_}; }

 private:
  UniqueFd fd_;
  std::uint16_t port_ = 0;
};

// What Connect says of a server that answers each connection with these bytes and hangs up.
absl::Status ConnectToServer(std::string_view answer) {
  const LoopbackServer server(1);
  bool answered = false;
  std::thread serve([&] {
    const UniqueFd peer(accept(server.fd(), nullptr, nullptr));
    TcpHello hello;
    answered = recv(peer.get(), &hello, sizeof(hello), MSG_WAITALL) == sizeof(hello) &&
               send(peer.get(), answer.data(), answer.size(), 0) == static_cast<ssize_t>(answer.size());
  });
  const auto connection = ConnectTcp(server.address(), {}, Deadline::After(kPatience));
  serve.join();
  return answered ? connection.status() : absl::InternalError("the server of this test could not answer");
}

std::string Bytes(const TcpHelloReply& reply) { return {reinterpret_cast<const char*>(&reply), sizeof(reply)}; }

bool Mentions(const absl::Status& status, std::string_view text) {
  return StatusText(status).find(text) != std::string::npos;
}

TEST_CASE("what answers a hello decides what Connect says") {
  SECTION("another version: both are named") {
    const absl::Status status = ConnectToServer(Bytes({.version = 9, .answer = TcpAnswer::kWrongVersion}));
    CHECK(absl::IsFailedPrecondition(status));
    CHECK(Mentions(status, "version 9"));
    CHECK(Mentions(status, "version " + std::to_string(kTcpWireVersion)));
    CHECK(Mentions(status, "use the same version of farfault on both hosts"));
  }
  SECTION("another version that does not mind") {
    CHECK(absl::IsFailedPrecondition(ConnectToServer(Bytes({.version = 9, .answer = TcpAnswer::kAccepted}))));
  }
  SECTION("another protocol") {
    const absl::Status status = ConnectToServer("HTTP/1.1 400 Bad Request\r\n");
    CHECK(absl::IsFailedPrecondition(status));
    CHECK(Mentions(status, "not farfault"));
    CHECK(Mentions(status, "check the port"));
  }
  SECTION("nothing") {
    const absl::Status status = ConnectToServer("");
    CHECK(absl::IsUnavailable(status));
    CHECK(!IsNobodyListens(status));
    CHECK(Mentions(status, "closed the connection without an answer"));
    CHECK(Mentions(status, "check the port"));
  }
  SECTION("half an answer") {
    CHECK(absl::IsUnavailable(ConnectToServer(std::string_view(kTcpMagic.data(), kTcpMagic.size()))));
  }
  SECTION("a rejection") {
    const absl::Status status = ConnectToServer(Bytes({.answer = TcpAnswer::kRejected}));
    CHECK(absl::IsPermissionDenied(status));
    CHECK(Mentions(status, "check the port, and that both ends are of the same session"));
  }
  SECTION("an answer that does not exist") {
    CHECK(absl::IsFailedPrecondition(ConnectToServer(Bytes({.answer = static_cast<TcpAnswer>(77)}))));
  }
  SECTION("yes") { CHECK(ConnectToServer(Bytes({.answer = TcpAnswer::kAccepted})).ok()); }
}

TEST_CASE("port 0 is for listeners only") {
  CHECK(absl::IsInvalidArgument(ConnectTcp({"127.0.0.1", 0}, {}, Deadline::Never()).status()));
}

TEST_CASE("a host that swallows everything costs no more than the deadline") {
  // A listener with a full backlog answers no further connection attempt.
  const LoopbackServer server(0);
  for (int i = 0; i < 3; ++i) {
    CHECK(absl::IsDeadlineExceeded(ConnectTcp(server.address(), {}, Deadline::After(absl::Milliseconds(30))).status()));
  }
}

}  // namespace
}  // namespace farfault
