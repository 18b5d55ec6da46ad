#include "lib/transport/rails/rail_transport.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/util/deadline.h"
#include "test/support/local_transport.h"
#include "test/support/verbs_ends.h"

namespace farfault {
namespace {

constexpr char kTwoRails[] = "tcp://127.0.0.1:0?rail=127.0.0.1";

std::vector<std::byte> Filled(std::size_t size, int value) {
  return std::vector<std::byte>(size, static_cast<std::byte>(value));
}

std::unique_ptr<RegisteredMemory> Register(Transport& transport, std::span<std::byte> memory, RemoteAccess access) {
  auto registered = transport.Register(memory, access);
  REQUIRE(registered.ok());
  return *std::move(registered);
}

/// Both ends of a channel over one rail.
struct Ends {
  std::unique_ptr<Channel> near;
  std::unique_ptr<Channel> far;
  std::size_t came_in_on = 0;
};

Ends MeetOn(Transport& near, Listener& listener, std::size_t rail) {
  Ends ends;
  absl::Status accepted;
  std::thread accept([&] {
    auto incoming = listener.Accept(Deadline::After(kVerbsPatience));
    auto channel = incoming.ok() ? (*incoming)->Accept({}) : incoming.status();
    accepted = channel.status();
    if (!channel.ok()) return;
    ends.came_in_on = (*incoming)->rail();
    ends.far = *std::move(channel);
  });
  auto connected = near.Connect(listener.address(), {}, {.rail = rail}, Deadline::After(kVerbsPatience));
  if (!connected.ok()) listener.Close();
  accept.join();
  INFO(connected.status().ToString() << ", " << accepted.ToString());
  REQUIRE(connected.ok());
  REQUIRE(accepted.ok());
  ends.near = *std::move(connected);
  return ends;
}

class World {
 public:
  World() : near(NewTransport(kTwoRails)), far(NewTransport(kTwoRails)) {
    auto made = far->Listen(kTwoRails);
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    listener = *std::move(made);
  }

  Ends Meet(std::size_t rail) const { return MeetOn(*near, *listener, rail); }
  void TellKeys() const {
    std::uint64_t since = 0;
    near->key_exchange()->Learn(far->key_exchange()->Registered(since));
  }

  std::unique_ptr<Transport> near;
  std::unique_ptr<Transport> far;
  std::unique_ptr<Listener> listener;
};

TEST_CASE("one rail alone is no transport of rails") {
  const auto transport = NewTransport("tcp://127.0.0.1:0");
  CHECK(transport->rails() == 1);
  CHECK(transport->key_exchange() == nullptr);
  CHECK(transport->Traffic().empty());
}

TEST_CASE("channels go over the rail that they ask for, and each counts its own bytes") {
  const World world;
  CHECK(world.near->rails() == 2);
  CHECK(world.near->scheme() == "tcp");
  std::vector<std::byte> here = Filled(4096, 3);
  std::vector<std::byte> there = Filled(4096, 0);
  const auto mine = Register(*world.near, here, RemoteAccess::kNone);
  const auto theirs = Register(*world.far, there, RemoteAccess::kReadWrite);
  world.TellKeys();
  const std::array<Ends, 2> ends = {world.Meet(0), world.Meet(1)};
  for (std::size_t rail = 0; rail < 2; ++rail) {
    CHECK(ends[rail].came_in_on == rail);
    CHECK(Mentions(ends[rail].near->path(), "tcp://127.0.0.1"));
    const WorkRequest write{.opcode = Opcode::kWrite,
                            .signaled = true,
                            .id = 1,
                            .local = here.data(),
                            .length = rail == 0 ? 100u : 200u,
                            .local_key = mine->local_key(),
                            .remote_address = theirs->remote_address() + 1000 * rail,
                            .remote_key = theirs->remote_key()};
    WorkRequest read = write;
    read.opcode = Opcode::kRead;
    read.length = 7;
    read.local += 2000;
    const std::array<WorkRequest, 2> chain = {write, read};
    REQUIRE(ends[rail].near->Post(chain) == PostResult::kOk);
    CHECK(NextCompletion(*ends[rail].near).status == CompletionStatus::kOk);
    CHECK(NextCompletion(*ends[rail].near).status == CompletionStatus::kOk);
    CHECK(there[1000 * rail] == std::byte{3});
    CHECK(there[1000 * rail + write.length - 1] == std::byte{3});
    CHECK(there[1000 * rail + write.length] == std::byte{0});
  }
  const std::vector<RailTraffic> traffic = world.near->Traffic();
  REQUIRE(traffic.size() == 2);
  CHECK(traffic[0].address == "tcp://127.0.0.1");
  CHECK(traffic[0].bytes_written == 100);
  CHECK(traffic[1].bytes_written == 200);
  CHECK(traffic[0].bytes_read == 7);
  CHECK(traffic[1].bytes_read == 7);
  CHECK(world.far->Traffic()[0].bytes_written == 0);
}

TEST_CASE("a key that the peer has not told is refused, and the channel's end names its rail") {
  const World world;
  std::vector<std::byte> here = Filled(64, 3);
  std::vector<std::byte> there = Filled(64, 0);
  const auto mine = Register(*world.near, here, RemoteAccess::kNone);
  const auto theirs = Register(*world.far, there, RemoteAccess::kReadWrite);
  const Ends ends = world.Meet(1);
  REQUIRE(ends.near->Post(WorkRequest{.opcode = Opcode::kWrite,
                                      .signaled = true,
                                      .local = here.data(),
                                      .length = 8,
                                      .local_key = mine->local_key(),
                                      .remote_address = theirs->remote_address(),
                                      .remote_key = theirs->remote_key()}) == PostResult::kOk);
  CHECK(NextCompletion(*ends.near).status == CompletionStatus::kError);
  CHECK(there[0] == std::byte{0});
  CHECK(ends.near->broken());
  CHECK(Mentions(ends.near->failure(), "rail 2 of 2 (tcp://127.0.0.1): "));
  CHECK(Mentions(ends.near->failure(), "the key is unknown or revoked"));
}

TEST_CASE("a listener tells all of its ports, and listens at each until it is closed") {
  const World world;
  const std::string address = world.listener->address();
  CHECK(Mentions(address, "?rail=127.0.0.1:"));
  CHECK(address.find(":0") == std::string::npos);
  // In whatever order they come.
  CHECK(world.Meet(1).came_in_on == 1);
  CHECK(world.Meet(0).came_in_on == 0);
  const auto taken = NewTransport(kTwoRails)->Listen(address);
  CHECK(absl::IsAlreadyExists(taken.status()));
  CHECK(Mentions(taken.status(), "rail 1 of 2"));
  world.listener->Close();
  for (std::size_t rail = 0; rail < 2; ++rail) {
    const auto refused = world.near->Connect(address, {}, {.rail = rail}, Deadline::After(kVerbsPatience));
    CHECK(absl::IsUnavailable(refused.status()));
    CHECK(Mentions(refused.status(), "rail " + std::to_string(rail + 1) + " of 2"));
  }
}

TEST_CASE("an address with another number of rails, or a rail that there is not, is refused") {
  const World world;
  const Deadline soon = Deadline::After(absl::Seconds(5));
  const auto fewer = world.near->Connect("tcp://127.0.0.1:1", {}, {}, soon);
  CHECK(absl::IsInvalidArgument(fewer.status()));
  CHECK(Mentions(fewer.status(), "has 1 rails and not the 2 of its transport"));
  CHECK(absl::IsInvalidArgument(world.near->Connect(world.listener->address(), {}, {.rail = 2}, soon).status()));
  CHECK(absl::IsInvalidArgument(world.far->Listen("tcp://127.0.0.1:0?rail=127.0.0.1&rail=127.0.0.1").status()));
}

std::unique_ptr<Rail> LocalRail(std::size_t index, LocalTransport*& transport) {
  auto rail = std::make_unique<Rail>();
  rail->index = index;
  rail->count = 2;
  rail->address = "local://" + std::to_string(index);
  auto made = std::make_unique<LocalTransport>();
  transport = made.get();
  rail->transport = std::move(made);
  return rail;
}

TEST_CASE("memory is registered with every rail or with none") {
  std::array<LocalTransport*, 2> children{};
  std::vector<std::unique_ptr<Rail>> rails;
  rails.push_back(LocalRail(0, children[0]));
  rails.push_back(LocalRail(1, children[1]));
  RailTransport transport(std::move(rails));
  std::vector<std::byte> memory(4096);
  {
    const auto registered = Register(transport, memory, RemoteAccess::kRead);
    for (const LocalTransport* const child : children) {
      REQUIRE(child->registrations().size() == 1);
      CHECK(child->registrations()[0].memory.data() == memory.data());
      CHECK(child->registrations()[0].access == RemoteAccess::kRead);
    }
    std::uint64_t since = 0;
    const std::vector<RailKeys> open = transport.key_exchange()->Registered(since);
    REQUIRE(open.size() == 1);
    CHECK(open[0].key == registered->remote_key());
    CHECK(open[0].on_rail[1] == children[1]->registrations()[0].key);
  }
  for (const LocalTransport* const child : children) CHECK(child->registrations().empty());
  CHECK_FALSE(transport.pins_memory());
  children[1]->SayThatItPins();
  CHECK(transport.pins_memory());
  children[1]->FailWith(absl::ResourceExhaustedError("no room"));
  const auto refused = transport.Register(memory, RemoteAccess::kRead);
  CHECK(absl::IsResourceExhausted(refused.status()));
  CHECK(Mentions(refused.status(), "rail 2 of 2 (local://1): no room"));
  CHECK(children[0]->registrations().empty());
  std::uint64_t since = 0;
  CHECK(transport.key_exchange()->Registered(since).empty());
}

}  // namespace
}  // namespace farfault
