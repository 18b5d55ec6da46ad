#include <array>
#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <span>
#include <string>

#include "absl/time/clock.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "test/support/rdma_link.h"
#include "test/support/verbs_ends.h"

// What becomes of transports and channels when the device under them fails.
namespace farfault {
namespace {

/// One process that is both ends.
struct BothEnds {
  explicit BothEnds(const std::string& host)
      : connecting(NewTransport("verbs://" + host + ":1")),
        accepting(NewTransport("verbs://" + host + ":0")),
        ends(Meet(*connecting, *accepting, "verbs://" + host + ":0")) {}

  std::unique_ptr<Transport> connecting;
  std::unique_ptr<Transport> accepting;
  VerbsEnds ends;
};

TEST_CASE("without an RDMA device a transport says how to get one", "[serial]") {
  RdmaLink link;
  link.Remove();
  const absl::StatusOr<std::unique_ptr<Transport>> none = MakeTransport("verbs://" + link.address() + ":1");
  CHECK(absl::IsNotFound(none.status()));
  CHECK(Mentions(none.status(), "no RDMA device"));
  CHECK(Mentions(none.status(), "rdma link add rxe0 type rxe netdev"));
}

TEST_CASE("a port that is down is named with the remedy, whoever listens or connects", "[serial]") {
  RdmaLink link;
  const auto transport = NewTransport("verbs://" + link.address() + ":0");
  CHECK(transport->Trouble().empty());
  link.SetDown();
  const std::string remedy = "ip link set " + link.interface() + " up";
  const auto fresh = NewTransport("verbs://" + link.address() + ":0");
  CHECK(Mentions(fresh->Trouble(), "port 1 of this host's RDMA device " + link.device() + " is down"));
  CHECK(Mentions(fresh->Trouble(), remedy));
  const absl::Time before = absl::Now();
  const auto channel = fresh->Connect("verbs://" + link.address() + ":7", {}, {}, Deadline::After(absl::Seconds(3)));
  CHECK(absl::Now() - before < absl::Seconds(20));
  REQUIRE(!channel.ok());
  CHECK(Mentions(channel.status(), "is down"));
  CHECK(Mentions(channel.status(), remedy));
  link.SetUp();
  CHECK(fresh->Trouble().empty());
}

TEST_CASE("a port that goes down under a channel is noticed, and named when the channel breaks", "[serial]") {
  RdmaLink link;
  const BothEnds both(link.address());
  CHECK(both.connecting->Trouble().empty());
  link.SetDown();
  const absl::Time deadline = absl::Now() + kVerbsPatience;
  while (both.connecting->Trouble().empty() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(10));
  CHECK(Mentions(both.connecting->Trouble(), "is down"));

  static std::array<std::byte, 64> bytes;
  auto here = both.connecting->Register(bytes, RemoteAccess::kNone);
  REQUIRE(here.ok());
  const WorkRequest send{.signaled = true, .local = bytes.data(), .length = 8, .local_key = (*here)->local_key()};
  REQUIRE(both.ends.connecting->Post(send) == PostResult::kOk);
  CHECK(NextCompletion(*both.ends.connecting).status != CompletionStatus::kOk);
  CHECK(absl::IsUnavailable(both.ends.connecting->failure()));
  CHECK(Mentions(both.ends.connecting->failure(), "is down"));
  CHECK(Mentions(both.ends.connecting->failure(), "ip link set " + link.interface() + " up"));
}

TEST_CASE("a silent channel finds out by itself that the link is gone", "[serial]") {
  RdmaLink link;
  const BothEnds both(link.address());
  link.SetDown();
  SleepOn(*both.ends.connecting, kVerbsPatience);
  CHECK(absl::IsUnavailable(both.ends.connecting->failure()));
  CHECK(Mentions(both.ends.connecting->failure(), "is down"));
}

TEST_CASE("a route whose source address gives the device no GID is told from an unreachable peer", "[serial]") {
  RdmaLink link;
  RdmaLink::Run(
      "ip link add elsewhere type dummy && ip addr add 10.8.7.1/24 dev elsewhere && ip link set elsewhere up");
  link.SetDown();
  link.SetUp();  // Which has the destructor put all back.
  RdmaLink::Run("ip addr flush dev " + link.interface());
  RdmaLink::Run("ip route add 10.9.0.0/24 dev " + link.interface());
  {
    const auto transport = NewTransport("verbs://10.9.0.77:1");
    const auto channel = transport->Connect("verbs://10.9.0.77:7", {}, {}, Deadline::After(absl::Seconds(10)));
    CHECK(absl::IsUnavailable(channel.status()));
    CHECK(Mentions(channel.status(), "10.9.0.77"));
    CHECK(Mentions(channel.status(), "GID"));
    CHECK(Mentions(channel.status(), "ip address"));
  }
  RdmaLink::Run("ip route del 10.9.0.0/24 dev " + link.interface() + "; ip link del elsewhere");
}

TEST_CASE("a device that is removed breaks its channels with the remedy", "[serial]") {
  RdmaLink link;
  const BothEnds both(link.address());
  static std::array<std::byte, 64> bytes;
  auto here = both.connecting->Register(bytes, RemoteAccess::kReadWrite);
  REQUIRE(here.ok());
  auto listener = both.accepting->Listen("verbs://" + link.address() + ":0");
  REQUIRE(listener.ok());
  link.BeginRemoval();
  SleepOn(*both.ends.connecting, kVerbsPatience);
  SleepOn(*both.ends.accepting, kVerbsPatience);
  for (const absl::Status& failure : {both.ends.connecting->failure(), both.ends.accepting->failure()}) {
    CHECK(absl::IsUnavailable(failure));
    CHECK(Mentions(failure, "RDMA device " + link.device() + " was removed"));
    CHECK(Mentions(failure, "rdma link add " + link.device()));
  }
  CHECK(absl::IsFailedPrecondition((*listener)->Accept(Deadline::After(kVerbsPatience)).status()));
  const auto again =
      both.connecting->Connect("verbs://" + link.address() + ":7", {}, {}, Deadline::After(kVerbsPatience));
  CHECK(absl::IsFailedPrecondition(again.status()));
  CHECK(Mentions(again.status(), "was removed"));
}

}  // namespace
}  // namespace farfault
