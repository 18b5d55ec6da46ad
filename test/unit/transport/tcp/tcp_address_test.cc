#include "lib/transport/tcp/tcp_address.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

namespace farfault {
namespace {

TEST_CASE("tcp addresses are taken apart and put together again") {
  struct Case {
    std::string text;
    std::string host;
    std::uint16_t port;
  };
  for (const Case& c : std::vector<Case>{{"tcp://192.0.2.7:7000", "192.0.2.7", 7000},
                                         {"tcp://[::1]:7000", "::1", 7000},
                                         {"tcp://[fe80::1%eth0]:1", "fe80::1%eth0", 1},
                                         {"tcp://host-1.example:0", "host-1.example", 0},
                                         {"tcp://localhost:65535", "localhost", 65535}}) {
    CAPTURE(c.text);
    const auto address = ParseTcpAddress(c.text);
    REQUIRE(address.ok());
    CHECK(address->host == c.host);
    CHECK(address->port == c.port);
    CHECK(address->ToString() == c.text);
  }
}

TEST_CASE("what is not a tcp address is refused, and the error repeats it and says what is wrong") {
  struct Case {
    std::string text;
    std::string reason;
  };
  for (const Case& c : std::vector<Case>{{"", "does not begin with tcp://"},
                                         {"tcp:/host:1", "does not begin with tcp://"},
                                         {"verbs://host:1", "does not begin with tcp://"},
                                         {"tcp://", "port is missing"},
                                         {"tcp://host", "port is missing"},
                                         {"tcp://host:", "not a number"},
                                         {"tcp://:7000", "host is missing"},
                                         {"tcp://host:65536", "not a number"},
                                         {"tcp://host:-1", "not a number"},
                                         {"tcp://host:+1", "not a number"},
                                         {"tcp://host:70a", "not a number"},
                                         {"tcp://host:70?foo=1", "takes no \"?foo=1\""},
                                         {"tcp://host: 70", "not a number"},
                                         {"tcp://::1:7000", "needs brackets"},
                                         {"tcp://[::1:7000", "not closed"},
                                         {"tcp://[::1]7000", "port is missing"},
                                         {"tcp://[::1]", "port is missing"},
                                         {"tcp://[host]:7000", "not an IPv6 address"},
                                         {"tcp://[]:7000", "not an IPv6 address"},
                                         {"tcp://ho st:7000", "no host name has"},
                                         {"tcp://user@host:7000", "no host name has"},
                                         {"tcp://host/path:7000", "no host name has"},
                                         {std::string("tcp://ho\0st:7000", 16), "no host name has"}}) {
    CAPTURE(c.text);
    const auto address = ParseTcpAddress(c.text);
    REQUIRE(absl::IsInvalidArgument(address.status()));
    CHECK(address.status().message().find(c.reason) != std::string_view::npos);
    CHECK(address.status().message().find("'" + c.text + "'") != std::string_view::npos);
  }
}

TEST_CASE("numeric addresses resolve to themselves") {
  for (const std::string& text : {std::string("tcp://127.0.0.1:7000"), std::string("tcp://[::1]:7000")}) {
    CAPTURE(text);
    const auto address = ParseTcpAddress(text);
    REQUIRE(address.ok());
    const auto resolved = ResolveTcpAddress(*address, ResolveFor::kConnecting);
    REQUIRE(resolved.ok());
    REQUIRE(resolved->size() == 1);
    CHECK(resolved->front().ToUrl("tcp") == text);
  }
}

TEST_CASE("a host that does not exist is refused by name") {
  // RFC 2606 keeps .invalid free of hosts; without a resolver the answer may be that it cannot tell.
  const auto resolved = ResolveTcpAddress({"nobody.invalid", 7000}, ResolveFor::kConnecting);
  CHECK((absl::IsInvalidArgument(resolved.status()) || absl::IsUnavailable(resolved.status())));
  CHECK(resolved.status().message().find("nobody.invalid") != std::string_view::npos);
}

}  // namespace
}  // namespace farfault
