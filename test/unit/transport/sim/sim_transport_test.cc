#include "lib/transport/sim/sim_transport.h"

#include <poll.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "lib/transport/sim/sim_fabric.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

constexpr std::size_t kBytes = 64 << 10;

// Two sides of one fabric with a connected channel and a registered buffer each.
class Sides {
 public:
  Sides(const std::string& address, RemoteAccess access) {
    auto near = MakeSimTransport(address);
    auto far = MakeSimTransport(address);
    REQUIRE(near.ok());
    REQUIRE(far.ok());
    near_transport = *std::move(near);
    far_transport = *std::move(far);
    near_memory = *near_transport->Register(near_bytes, RemoteAccess::kNone);
    far_memory = *far_transport->Register(far_bytes, access);
    auto listener = far_transport->Listen(address);
    REQUIRE(listener.ok());
    std::thread acceptor([&] {
      auto incoming = (*listener)->Accept(Deadline::After(absl::Seconds(10)));
      far_channel = *(*incoming)->Accept({.name = "test"});
    });
    PrivateData hello{};
    auto channel = near_transport->Connect(address, hello, {.name = "test"}, Deadline::After(absl::Seconds(10)));
    acceptor.join();
    REQUIRE(channel.ok());
    near_channel = *std::move(channel);
  }

  WorkRequest Request(Opcode opcode, std::uint64_t id, std::size_t offset, std::uint32_t length) {
    return {.opcode = opcode,
            .signaled = true,
            .id = id,
            .local = near_bytes.data() + offset,
            .length = length,
            .local_key = near_memory->local_key(),
            .remote_address = far_memory->remote_address() + offset,
            .remote_key = far_memory->remote_key()};
  }

  Completion Wait(Channel& channel) {
    Completion completion;
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (channel.Poll(std::span(&completion, 1)) == 0) {
      REQUIRE(absl::Now() < deadline);
      std::this_thread::yield();
    }
    return completion;
  }

  std::vector<std::byte> near_bytes = std::vector<std::byte>(kBytes);
  std::vector<std::byte> far_bytes = std::vector<std::byte>(kBytes, std::byte{7});
  std::unique_ptr<Transport> near_transport, far_transport;
  std::unique_ptr<RegisteredMemory> near_memory, far_memory;
  std::unique_ptr<Channel> near_channel, far_channel;
};

TEST_CASE("sim: with no delay a request is complete when Post returns") {
  Sides sides("sim://instant", RemoteAccess::kReadWrite);
  REQUIRE(sides.near_channel->Post(sides.Request(Opcode::kRead, 5, 0, 4096)) == PostResult::kOk);
  CHECK(sides.near_bytes[4095] == std::byte{7});
  Completion completion;
  REQUIRE(sides.near_channel->Poll(std::span(&completion, 1)) == 1);
  CHECK(completion.id == 5);
  CHECK(completion.status == CompletionStatus::kOk);
}

TEST_CASE("sim: latency is waited for") {
  Sides sides("sim://slow?latency=2ms", RemoteAccess::kRead);
  const absl::Time start = absl::Now();
  REQUIRE(sides.near_channel->Post(sides.Request(Opcode::kRead, 1, 0, 8)) == PostResult::kOk);
  CHECK(sides.Wait(*sides.near_channel).status == CompletionStatus::kOk);
  CHECK(absl::Now() - start >= absl::Milliseconds(4));
  CHECK(sides.near_bytes[7] == std::byte{7});
}

TEST_CASE("sim: one-sided requests need no poll at either end") {
  Sides sides("sim://nobody-polls?latency=100us", RemoteAccess::kWrite);
  sides.near_bytes[0] = std::byte{9};
  REQUIRE(sides.near_channel->Post(sides.Request(Opcode::kWrite, 1, 0, 1)) == PostResult::kOk);
  const std::atomic_ref<std::byte> target(sides.far_bytes[0]);
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (target.load() != std::byte{9} && absl::Now() < deadline) std::this_thread::yield();
  CHECK(target.load() == std::byte{9});
}

TEST_CASE("sim: a sleeper is woken by a message") {
  const std::string address = GENERATE(std::string("sim://sleep"), std::string("sim://sleep-late?latency=300us"));
  Sides sides(address, RemoteAccess::kNone);
  REQUIRE(sides.near_channel->PostReceive(3, sides.near_bytes, sides.near_memory->local_key()) == PostResult::kOk);
  REQUIRE(sides.near_channel->PrepareToSleep());
  PostResult posted = PostResult::kBroken;
  std::thread sender([&] {
    const WorkRequest message{.opcode = Opcode::kSend,
                              .signaled = true,
                              .local = sides.far_bytes.data(),
                              .length = 100,
                              .local_key = sides.far_memory->local_key()};
    posted = sides.far_channel->Post(message);
  });
  const WaitHandle handle = sides.near_channel->wait_handle();
  pollfd waiter{handle.fd, handle.events, 0};
  CHECK(poll(&waiter, 1, 10'000) == 1);
  sender.join();
  CHECK(posted == PostResult::kOk);
  const Completion completion = sides.Wait(*sides.near_channel);
  CHECK(completion.opcode == Opcode::kReceive);
  CHECK(completion.length == 100);
}

TEST_CASE("sim: addresses that make no sense are refused with the form that does") {
  for (const char* address : {"tcp://x", "sim://", "sim://a/b", "sim://a:x", "sim://a?latency", "sim://a?latency=-1s",
                              "sim://a?bandwidth=fast", "sim://a?colour=red"}) {
    const auto transport = MakeSimTransport(address);
    INFO(address);
    CHECK(transport.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(std::string(transport.status().message()).find("sim://NAME") != std::string::npos);
  }
}

TEST_CASE("sim: a fabric has one set of properties") {
  const auto first = MakeSimTransport("sim://properties?latency=5us");
  REQUIRE(first.ok());
  CHECK(MakeSimTransport("sim://properties").ok());
  CHECK(MakeSimTransport("sim://properties?latency=5us").ok());
  CHECK(MakeSimTransport("sim://properties?latency=6us").status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("sim: the script refuses a connection and breaks a channel after some requests") {
  auto fabric = SimFabric::Open("scripted", nullptr);
  REQUIRE(fabric.ok());
  (*fabric)->AddFault({.kind = SimFault::Kind::kRefuseConnect, .channel = "refused"});
  Sides sides("sim://scripted", RemoteAccess::kReadWrite);
  const auto refused =
      sides.near_transport->Connect("sim://scripted", {}, {.name = "refused"}, Deadline::After(absl::Seconds(1)));
  CHECK(refused.status().code() == absl::StatusCode::kUnavailable);
  (*fabric)->AddFault({.kind = SimFault::Kind::kBreak, .channel = "test", .after_requests = 3});
  REQUIRE(sides.near_channel->Post(sides.Request(Opcode::kRead, 1, 0, 8)) == PostResult::kOk);
  REQUIRE(sides.near_channel->Post(sides.Request(Opcode::kRead, 2, 0, 8)) == PostResult::kOk);
  CHECK(sides.near_channel->Post(sides.Request(Opcode::kRead, 3, 0, 8)) == PostResult::kBroken);
  CHECK(sides.near_channel->broken());
  CHECK(sides.far_channel->broken());
  CHECK(sides.Wait(*sides.near_channel).status == CompletionStatus::kOk);
}

}  // namespace
}  // namespace farfault
