#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <memory>
#include <vector>

#include "lib/transport/sim/sim_fabric.h"

namespace farfault {
namespace {

constexpr Nanos kSecond = 1'000'000'000;

struct World {
  explicit World(const SimLinkModel& model) : fabric(SimFabric::CreateVirtual(model)) {
    near = fabric->MakeTransport();
    far = fabric->MakeTransport();
    near_memory = *near->Register(near_bytes, RemoteAccess::kNone);
    far_memory = *far->Register(far_bytes, RemoteAccess::kReadWrite);
  }
  SimFabric::Pair Connect(std::string_view name) {
    return fabric->ConnectPair(*near, {.name = name}, *far, {.name = name});
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
  /// When the channel's next completion is there.
  Nanos RunUntilCompletion(Channel& channel, Completion& completion) {
    while (channel.Poll(std::span(&completion, 1)) == 0) {
      REQUIRE(fabric->next_event() < 100 * kSecond);
      fabric->AdvanceTo(fabric->next_event());
    }
    return fabric->now();
  }

  std::vector<std::byte> near_bytes = std::vector<std::byte>(1 << 20);
  std::vector<std::byte> far_bytes = std::vector<std::byte>(1 << 20, std::byte{7});
  std::shared_ptr<SimFabric> fabric;
  std::unique_ptr<Transport> near, far;
  std::unique_ptr<RegisteredMemory> near_memory, far_memory;
};

TEST_CASE("virtual fabric: nothing happens unless time passes") {
  World world({.latency = 1000});
  const SimFabric::Pair pair = world.Connect("a");
  REQUIRE(pair.first->Post(world.Request(Opcode::kRead, 1, 0, 64)) == PostResult::kOk);
  Completion completion;
  CHECK(pair.first->Poll(std::span(&completion, 1)) == 0);
  world.fabric->AdvanceTo(1999);
  CHECK(pair.first->Poll(std::span(&completion, 1)) == 0);
  world.fabric->AdvanceTo(2000);
  CHECK(pair.first->Poll(std::span(&completion, 1)) == 1);
}

TEST_CASE("virtual fabric: bandwidth is serialised per direction") {
  World world({.latency = 1000, .bits_per_second = 8e9});  // One byte per nanosecond.
  const SimFabric::Pair pair = world.Connect("a");
  constexpr std::uint32_t kLength = 16 * 4096;
  REQUIRE(pair.first->Post(world.Request(Opcode::kWrite, 1, 0, kLength)) == PostResult::kOk);
  Completion completion;
  const Nanos done = world.RunUntilCompletion(*pair.first, completion);
  const Nanos wire = 16 * (4096 + static_cast<Nanos>(SimLinkModel::kHeaderBytes));
  CHECK(done == wire + 1000 + static_cast<Nanos>(SimLinkModel::kHeaderBytes) + 1000);
}

TEST_CASE("virtual fabric: a small request does not queue behind another channel's bulk") {
  World world({.latency = 1000, .bits_per_second = 8e9});
  const SimFabric::Pair bulk = world.Connect("bulk");
  const SimFabric::Pair urgent = world.Connect("urgent");
  REQUIRE(bulk.first->Post(world.Request(Opcode::kWrite, 1, 0, 1 << 20)) == PostResult::kOk);
  world.fabric->AdvanceTo(10);
  REQUIRE(urgent.first->Post(world.Request(Opcode::kRead, 2, 0, 4096)) == PostResult::kOk);
  Completion completion;
  CHECK(world.RunUntilCompletion(*urgent.first, completion) < 2 * 1000 + 4 * 4200);
  CHECK(world.RunUntilCompletion(*bulk.first, completion) > 1 << 20);
}

// Runs some requests of every kind on three channels and returns the hash of all that happened.
std::uint64_t TraceOf(std::uint64_t seed) {
  World world({.latency = 1000, .bits_per_second = 1e10, .jitter = 500, .landing_spread = 2000, .seed = seed});
  std::vector<SimFabric::Pair> pairs;
  for (int i = 0; i < 3; ++i) pairs.push_back(world.Connect("a"));
  for (std::uint64_t round = 0; round < 20; ++round) {
    for (SimFabric::Pair& pair : pairs) {
      const Opcode opcode = round % 2 == 0 ? Opcode::kRead : Opcode::kWrite;
      REQUIRE(pair.first->Post(world.Request(opcode, round, round * 8192, 8192)) == PostResult::kOk);
    }
    world.fabric->AdvanceTo(world.fabric->now() + 1500);
  }
  world.fabric->AdvanceTo(kSecond);
  return world.fabric->trace_hash();
}

TEST_CASE("virtual fabric: the seed decides everything") {
  CHECK(TraceOf(1) == TraceOf(1));
  CHECK(TraceOf(1) != TraceOf(2));
}

// Sees in how many pieces bytes land.
class LandingCounter final : public SimObserver {
 public:
  void OnPosted(const Request&) override {}
  void OnExecuted(const Request&) override { ++executed; }
  void OnLanded(const std::byte*, std::uint64_t) override { ++landings; }
  void OnCompletion(std::uint64_t, int) override {}
  void OnBroken(std::uint64_t) override {}
  int executed = 0;
  int landings = 0;
};

TEST_CASE("virtual fabric: with a landing spread bytes land in pieces, and are all there at completion") {
  World world({.latency = 1000, .landing_spread = 5000, .seed = 3});
  LandingCounter counter;
  world.fabric->Watch(&counter);
  const SimFabric::Pair pair = world.Connect("a");
  for (std::uint64_t id = 0; id < 32; ++id) {
    REQUIRE(pair.first->Post(world.Request(Opcode::kRead, id, id * 4096, 4096)) == PostResult::kOk);
  }
  Completion completion;
  for (std::uint64_t id = 0; id < 32; ++id) {
    world.RunUntilCompletion(*pair.first, completion);
    CHECK(completion.id == id);
    CHECK(std::memcmp(world.near_bytes.data() + id * 4096, world.far_bytes.data(), 4096) == 0);
  }
  CHECK(counter.executed == 32);
  CHECK(counter.landings > 32);
}

TEST_CASE("virtual fabric: scripted faults break one channel at a moment, or delay it for a while") {
  World world({.latency = 1000});
  const SimFabric::Pair doomed = world.Connect("doomed");
  const SimFabric::Pair late = world.Connect("late");
  world.fabric->AddFault({.kind = SimFault::Kind::kBreak, .channel = "doomed", .at = 1500});
  world.fabric->AddFault({.kind = SimFault::Kind::kDelay, .channel = "late", .at = 0, .delay = 700, .duration = 10});
  REQUIRE(doomed.first->Post(world.Request(Opcode::kRead, 1, 0, 64)) == PostResult::kOk);
  REQUIRE(late.first->Post(world.Request(Opcode::kRead, 2, 0, 64)) == PostResult::kOk);
  Completion completion;
  CHECK(world.RunUntilCompletion(*doomed.first, completion) == 1500);
  CHECK(completion.status == CompletionStatus::kFlushed);
  CHECK(doomed.second->broken());
  CHECK(doomed.first->Post(world.Request(Opcode::kRead, 3, 0, 64)) == PostResult::kBroken);
  CHECK(world.RunUntilCompletion(*late.first, completion) == 2700);
  CHECK(completion.status == CompletionStatus::kOk);
}

TEST_CASE("virtual fabric: a request that is not allowed breaks the channel after what came before it") {
  World world({.latency = 1000});
  const SimFabric::Pair pair = world.Connect("a");
  WorkRequest wrong = world.Request(Opcode::kWrite, 2, 0, 64);
  wrong.remote_key ^= 1;
  REQUIRE(pair.first->Post(std::vector{world.Request(Opcode::kRead, 1, 0, 64), wrong,
                                       world.Request(Opcode::kRead, 3, 0, 64)}) == PostResult::kOk);
  Completion completion;
  world.RunUntilCompletion(*pair.first, completion);
  CHECK(completion.status == CompletionStatus::kOk);
  world.RunUntilCompletion(*pair.first, completion);
  CHECK(completion.status == CompletionStatus::kError);
  world.RunUntilCompletion(*pair.first, completion);
  CHECK(completion.status == CompletionStatus::kFlushed);
  CHECK(completion.id == 3);
  CHECK_FALSE(pair.first->failure().ok());
}

}  // namespace
}  // namespace farfault
