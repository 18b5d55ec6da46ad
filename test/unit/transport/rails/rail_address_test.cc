#include "lib/transport/rails/rail_address.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "lib/transport/transport.h"
#include "lib/util/status_text.h"
#include "test/support/verbs_ends.h"

namespace farfault {
namespace {

using Addresses = std::vector<std::string>;

Addresses Rails(const std::string& address) {
  INFO(address);
  const absl::StatusOr<Addresses> rails = SplitRails(address);
  INFO(rails.status().ToString());
  REQUIRE(rails.ok());
  return *rails;
}

TEST_CASE("an address without rails stays what it is") {
  for (const std::string address :
       {"tcp://a:1", "verbs://a:1?device=rxe0&gid=3", "sim://name", "sim://trail=a:3", ""}) {
    CHECK_FALSE(HasRails(address));
    CHECK(Rails(address) == Addresses{address});
  }
}

TEST_CASE("a rail has the first one's port unless it names its own") {
  CHECK(Rails("verbs://10.9.0.1:4791?rail=10.9.1.1") == Addresses{"verbs://10.9.0.1:4791", "verbs://10.9.1.1:4791"});
  CHECK(Rails("tcp://a:1?rail=b:2&rail=c") == Addresses{"tcp://a:1", "tcp://b:2", "tcp://c:1"});
  CHECK(Rails("tcp://[fe80::1]:7?rail=[fe80::2]&rail=[fe80::3]:8") ==
        Addresses{"tcp://[fe80::1]:7", "tcp://[fe80::2]:7", "tcp://[fe80::3]:8"});
  CHECK(Rails("sim://a?rail=b") == Addresses{"sim://a", "sim://b"});
  // Each at a port of the system's choice.
  CHECK(Rails("tcp://a:0?rail=a") == Addresses{"tcp://a:0", "tcp://a:0"});
}

TEST_CASE("properties hold for all rails, for one, or say which device one goes through") {
  CHECK(Rails("verbs://a:1?odp=1&tclass=106&rail=b&tclass=4&rail=c") ==
        Addresses{"verbs://a:1?odp=1&tclass=106", "verbs://b:1?odp=1&tclass=4", "verbs://c:1?odp=1&tclass=106"});
  CHECK(Rails("verbs://a:1?device=x&port=1&gid=3&reads=4&rail=b&device=y") ==
        Addresses{"verbs://a:1?device=x&port=1&gid=3&reads=4", "verbs://b:1?reads=4&device=y"});
}

TEST_CASE("rails that make no sense are refused with the reason and the form") {
  const auto refusal = [](const std::string& address) {
    const absl::Status status = SplitRails(address).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK(absl::IsInvalidArgument(MakeTransport(address).status()));
    CHECK(Mentions(status, "write it like verbs://10.9.0.1:7000?rail=10.9.1.1"));
    return std::string(StatusText(status));
  };
  CHECK(Mentions(refusal("tcp://a:1?rail="), "\"rail=\" is without an address"));
  CHECK(Mentions(refusal("tcp://a:1?rail"), "\"rail\" is without an address"));
  CHECK(Mentions(refusal("tcp://a:1?rail=b&rail=b:1"), "rails 2 and 3 are both b:1"));
  CHECK(Mentions(refusal("tcp://a:1?rail=a"), "rails 1 and 2 are both a:1"));
  std::string many = "tcp://a:1?rail=b1";
  for (int i = 2; i < 8; ++i) many += "&rail=b" + std::to_string(i);
  CHECK(Rails(many).size() == kMaxRails);
  CHECK(Mentions(refusal(many + "&rail=b8"), "there are 9 of them, and 8 are the most"));
}

TEST_CASE("a rail whose own address is wrong is named") {
  const absl::Status status = MakeTransport("tcp://127.0.0.1:1?rail=127.0.0.1:70000").status();
  CHECK(absl::IsInvalidArgument(status));
  CHECK(Mentions(status, "rail 2 of 2"));
  CHECK(Mentions(status, "70000"));
}

TEST_CASE("what has been split can be joined") {
  for (const std::string address :
       {"verbs://10.9.0.1:4791?rail=10.9.1.1:4791", "tcp://[fe80::1]:7?rail=[fe80::2]:8",
        "sim://a:1?latency=5us&seed=3&rail=b:2&rail=c:3&latency=9us", "verbs://a:1?device=x&rail=b:1&device=y"}) {
    const Addresses rails = Rails(address);
    CHECK(Rails(JoinRails(rails)) == rails);
    CHECK(JoinRails(Addresses{rails[0]}) == rails[0]);
  }
  CHECK(JoinRails(Addresses{"verbs://10.9.0.1:41", "verbs://10.9.1.1:42"}) == "verbs://10.9.0.1:41?rail=10.9.1.1:42");
  CHECK(JoinRails(Addresses{"sim://a:1?seed=3", "sim://b:2?seed=3"}) == "sim://a:1?seed=3&rail=b:2");
}

}  // namespace
}  // namespace farfault
