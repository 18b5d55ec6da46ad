#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <string_view>
#include <thread>

#include "absl/time/clock.h"
#include "lib/transport/connect_error.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"
#include "test/conformance/channel_pair.h"

namespace farfault {
namespace {

struct Sides {
  explicit Sides(const Fabric& fabric) {
    auto first = MakeTransport(fabric.listen_address);
    auto second = MakeTransport(fabric.listen_address);
    REQUIRE(first.ok());
    REQUIRE(second.ok());
    connecting = *std::move(first);
    accepting = *std::move(second);
  }
  std::unique_ptr<Listener> Listen(const Fabric& fabric) const {
    auto listener = accepting->Listen(fabric.listen_address);
    INFO(listener.status().ToString());
    REQUIRE(listener.ok());
    return *std::move(listener);
  }

  std::unique_ptr<Transport> connecting;
  std::unique_ptr<Transport> accepting;
};

TEST_CASE("connecting where nobody listens fails at once and may be tried again") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const Sides sides(fabric);
  const absl::Time began = absl::Now();
  const auto channel = sides.connecting->Connect(fabric.unused_address, {}, {}, Deadline::After(kPatience));
  CHECK(absl::IsUnavailable(channel.status()));
  CHECK(IsNobodyListens(channel.status()));
  CHECK(!channel.status().message().empty());
  CHECK(absl::Now() - began < kPatience);
}

TEST_CASE("a request that is not accepted is rejected, and the listener goes on") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const Sides sides(fabric);
  const auto listener = sides.Listen(fabric);
  bool accepted = false;
  std::thread accept([&] {
    {
      const auto rejected = listener->Accept(Deadline::After(kPatience));
    }
    const auto incoming = listener->Accept(Deadline::After(kPatience));
    accepted = incoming.ok() && (*incoming)->Accept({}).ok();
  });
  const auto rejected = sides.connecting->Connect(listener->address(), {}, {}, Deadline::After(kPatience));
  CHECK(absl::IsPermissionDenied(rejected.status()));
  CHECK(StatusText(rejected.status()).find("check the port") != std::string_view::npos);
  const auto channel = sides.connecting->Connect(listener->address(), {}, {}, Deadline::After(kPatience));
  CHECK(channel.ok());
  accept.join();
  CHECK(accepted);
}

TEST_CASE("a deadline ends waiting for a connection, and for an answer") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const Sides sides(fabric);
  const auto listener = sides.Listen(fabric);
  CHECK(absl::IsDeadlineExceeded(listener->Accept(Deadline::After(absl::Milliseconds(20))).status()));
  CHECK(absl::IsDeadlineExceeded(listener->Accept(Deadline::Now()).status()));
  const auto channel = sides.connecting->Connect(listener->address(), {}, {}, Deadline::After(absl::Milliseconds(50)));
  CHECK(absl::IsDeadlineExceeded(channel.status()));
}

TEST_CASE("a request whose sender has given up does not hold up the next") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const Sides sides(fabric);
  const auto listener = sides.Listen(fabric);
  REQUIRE(!sides.connecting->Connect(listener->address(), {}, {}, Deadline::After(absl::Milliseconds(50))).ok());
  PrivateData data{};
  data[0] = std::byte{42};
  bool accepted = false;
  std::thread accept([&] {
    // Requests that were given up may still turn up; they break at once.
    while (!accepted) {
      const auto incoming = listener->Accept(Deadline::After(kPatience));
      if (!incoming.ok()) break;
      accepted = (*incoming)->private_data() == data && (*incoming)->Accept({}).ok();
    }
  });
  CHECK(sides.connecting->Connect(listener->address(), data, {}, Deadline::After(kPatience)).ok());
  accept.join();
  CHECK(accepted);
}

TEST_CASE("closing a listener from another thread ends its Accept") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const Sides sides(fabric);
  const auto listener = sides.Listen(fabric);
  std::thread closer([&] {
    absl::SleepFor(absl::Milliseconds(10));
    listener->Close();
  });
  CHECK(absl::IsCancelled(listener->Accept(Deadline::Never()).status()));
  closer.join();
  CHECK(absl::IsCancelled(listener->Accept(Deadline::Never()).status()));
  CHECK(
      absl::IsUnavailable(sides.connecting->Connect(listener->address(), {}, {}, Deadline::After(kPatience)).status()));
}

TEST_CASE("an address in use is refused, and free again after its listener is gone") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const Sides sides(fabric);
  auto listener = sides.Listen(fabric);
  const std::string address = listener->address();
  const auto second = sides.connecting->Listen(address);
  CHECK(absl::IsAlreadyExists(second.status()));
  CHECK(second.status().message().find(address) != std::string_view::npos);
  listener.reset();
  CHECK(sides.connecting->Listen(address).ok());
}

TEST_CASE("addresses that make no sense are refused") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const Sides sides(fabric);
  for (const std::string& address :
       {std::string(), std::string("nonsense"), std::string(sides.connecting->scheme()) + "://"}) {
    CAPTURE(address);
    CHECK(absl::IsInvalidArgument(sides.connecting->Connect(address, {}, {}, Deadline::After(kPatience)).status()));
    CHECK(absl::IsInvalidArgument(sides.connecting->Listen(address).status()));
    CHECK(absl::IsInvalidArgument(MakeTransport(address).status()));
  }
}

TEST_CASE("channels are refused without slots") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const Sides sides(fabric);
  const Connected connected =
      ConnectPair(*sides.connecting, *sides.accepting, fabric.listen_address, {}, {.send_slots = 0});
  CHECK(absl::IsInvalidArgument(connected.accepting.status()));
}

}  // namespace
}  // namespace farfault
