#include "lib/transport/verbs/verbs_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "lib/transport/verbs/device_address.h"

namespace farfault {
namespace {

TEST_CASE("verbs addresses are taken apart, and what they say of this side stays here") {
  const auto address =
      ParseVerbsAddress("verbs://[fe80::1%eth0]:7000?device=rxe0&port=2&gid=3&tclass=106&reads=1&inline=0");
  REQUIRE(address.ok());
  CHECK(address->host_port.host == "fe80::1%eth0");
  CHECK(address->host_port.port == 7000);
  CHECK(address->choice.device == "rxe0");
  CHECK(address->choice.port == 2);
  CHECK(address->choice.gid == 3);
  CHECK(address->choice.tclass == 106);
  CHECK(address->choice.reads == 1);
  CHECK(address->choice.inline_bytes == 0);
  CHECK(address->choice.forces_address());
  CHECK(address->ToString() == "verbs://[fe80::1%eth0]:7000");
}

TEST_CASE("a verbs address without a choice leaves everything to the connection manager") {
  for (const std::string text : {"verbs://192.0.2.7:0", "verbs://192.0.2.7:0?"}) {
    CAPTURE(text);
    const auto address = ParseVerbsAddress(text);
    REQUIRE(address.ok());
    CHECK(!address->choice.forces_address());
    CHECK(!address->choice.tclass.has_value());
    CHECK(!address->choice.reads.has_value());
    CHECK(!address->choice.inline_bytes.has_value());
  }
}

TEST_CASE("what is not a verbs address is refused, and the error says what is wrong") {
  struct Case {
    std::string text;
    std::string reason;
  };
  for (const Case& c : std::vector<Case>{{"", "does not begin with verbs://"},
                                         {"tcp://host:1", "does not begin with verbs://"},
                                         {"verbs://", "port is missing"},
                                         {"verbs://host:65536", "not a number"},
                                         {"verbs://host:1?rxe0", "\"rxe0\" is not understood"},
                                         {"verbs://host:1?device=", "\"device=\" is not understood"},
                                         {"verbs://host:1?device=a/b", "\"device=a/b\" is not understood"},
                                         {"verbs://host:1?device=a&port=0", "\"port=0\" is not understood"},
                                         {"verbs://host:1?device=a&gid=65536", "\"gid=65536\" is not understood"},
                                         {"verbs://host:1?tclass=256", "\"tclass=256\" is not understood"},
                                         {"verbs://host:1?tclass=-1", "\"tclass=-1\" is not understood"},
                                         {"verbs://host:1?tclass=1x", "\"tclass=1x\" is not understood"},
                                         {"verbs://host:1?reads=0", "\"reads=0\" is not understood"},
                                         {"verbs://host:1?reads=255", "\"reads=255\" is not understood"},
                                         {"verbs://host:1?inline=257", "\"inline=257\" is not understood"},
                                         {"verbs://host:1?odp=yes", "\"odp=yes\" is not understood"},
                                         {"verbs://host:1?latency=5us", "\"latency=5us\" is not understood"},
                                         {"verbs://host:1?gid=1", "without the device"},
                                         {"verbs://host:1?port=1", "without the device"}}) {
    CAPTURE(c.text);
    const auto address = ParseVerbsAddress(c.text);
    REQUIRE(absl::IsInvalidArgument(address.status()));
    CHECK(address.status().message().find(c.reason) != std::string_view::npos);
    CHECK(address.status().message().find("verbs://HOST:PORT") != std::string_view::npos);
  }
}

ibv_gid GidOf(const char* ipv6) {
  ibv_gid gid{};
  REQUIRE(inet_pton(AF_INET6, ipv6, gid.raw) == 1);
  return gid;
}

TEST_CASE("the GIDs of RoCE are IP addresses") {
  CHECK(AddressOfGid(GidOf("::ffff:10.9.0.1"), 4).ToUrl("verbs") == "verbs://10.9.0.1:0");
  CHECK(AddressOfGid(GidOf("2001:db8::7"), 4).ToUrl("verbs") == "verbs://[2001:db8::7]:0");
  const SocketAddress global = AddressOfGid(GidOf("2001:db8::7"), 4);
  CHECK(reinterpret_cast<const sockaddr_in6*>(global.get())->sin6_scope_id == 0);
  const SocketAddress local = AddressOfGid(GidOf("fe80::1"), 4);
  CHECK(local.length == sizeof(sockaddr_in6));
  CHECK(reinterpret_cast<const sockaddr_in6*>(local.get())->sin6_scope_id == 4);
}

}  // namespace
}  // namespace farfault
