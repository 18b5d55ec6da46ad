#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <cstring>
#include <thread>

#include "test/conformance/channel_pair.h"

namespace farfault {
namespace {

std::atomic_ref<std::uint64_t> Word(const Memory& memory, std::size_t offset) {
  return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(memory.at(offset)));
}

std::atomic_ref<std::uint8_t> Byte(const Memory& memory, std::size_t offset) {
  return std::atomic_ref(*reinterpret_cast<std::uint8_t*>(memory.at(offset)));
}

TEST_CASE("a READ sees every WRITE before it on its channel") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::uint32_t kMost = 300'000;
  const Memory here(*pair.initiator.transport, std::size_t{2} * kMost);
  const Memory there(*pair.target.transport, kMost);
  for (std::uint64_t round = 0; round < 60; ++round) {
    const std::uint32_t length = std::array<std::uint32_t, 4>{8, 100, 4096, kMost}[round % 4];
    here.FillRange(round + 1, 0, length);
    const std::array<WorkRequest, 2> chain = {WriteRequest(here, 0, there, 0, length),
                                              Signaled(ReadRequest(here, kMost, there, 0, length), round)};
    pair.Post(chain);
    REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == round + 1; }));
    REQUIRE(here.Holds(round + 1, kMost, length));
  }
}

TEST_CASE("whoever has received a SEND sees every WRITE before it") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::uint32_t kBlock = 50'000;
  constexpr std::uint64_t kRounds = 40;
  const Memory here(*pair.initiator.transport, kRounds * kBlock);
  const Memory there(*pair.target.transport, kRounds * kBlock);
  const Memory messages(*pair.target.transport, 4096);
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    REQUIRE(pair.target.channel->PostReceive(round, messages.span(round * 64, 64), messages.local_key()) ==
            PostResult::kOk);
    here.FillRange(round, round * kBlock, kBlock);
  }
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const std::array<WorkRequest, 3> chain = {
        WriteRequest(here, round * kBlock, there, round * kBlock, kBlock / 2),
        WriteRequest(here, round * kBlock + kBlock / 2, there, round * kBlock + kBlock / 2, kBlock / 2),
        SendRequest(here, 0, 64)};
    pair.Post(chain);
  }
  std::uint64_t checked = 0;
  const auto all_hold = [&] {
    for (; checked < pair.target.received.size(); ++checked) {
      const bool holds = there.Holds(checked, checked * kBlock, kBlock);
      CHECK(holds);
    }
    return checked == kRounds;
  };
  REQUIRE(pair.PollUntil(all_hold));
}

TEST_CASE("a signalled completion vouches for the unsignalled requests before it") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::uint32_t kBlock = 10'000;
  constexpr std::size_t kBlocks = 20;
  const Memory here(*pair.initiator.transport, 2 * kBlocks * kBlock);
  const Memory there(*pair.target.transport, 2 * kBlocks * kBlock);
  there.FillRange(77, kBlocks * kBlock, kBlock);
  for (std::size_t i = 0; i < kBlocks; ++i) {
    here.FillRange(i, i * kBlock, kBlock);
    const WorkRequest write = WriteRequest(here, i * kBlock, there, i * kBlock, kBlock);
    pair.Post(std::span(&write, 1));
  }
  const std::array<WorkRequest, 2> last = {ReadRequest(here, kBlocks * kBlock, there, kBlocks * kBlock, kBlock),
                                           Signaled(WriteRequest(here, 0, there, (kBlocks + 1) * kBlock, 1), 5)};
  pair.Post(last);
  REQUIRE(pair.PollUntil([&] { return !pair.initiator.sent.empty(); }));
  CHECK(pair.initiator.sent.size() == 1);
  CHECK(pair.initiator.sent[0].id == 5);
  for (std::size_t i = 0; i < kBlocks; ++i) CHECK(there.Holds(i, i * kBlock, kBlock));
  CHECK(here.Holds(77, kBlocks * kBlock, kBlock));
}

TEST_CASE("completions come in posting order, one for each signalled request") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  const Memory here(*pair.initiator.transport, 1u << 20);
  const Memory there(*pair.target.transport, 1u << 20);
  constexpr std::uint64_t kHalf = 512u << 10;
  constexpr std::uint64_t kRequests = 600;
  std::uint64_t receives = 0;
  std::vector<std::uint64_t> expected;
  for (std::uint64_t id = 0; id < kRequests; ++id) {
    // Short requests behind long ones, so that a wrong order has a chance.
    const std::uint32_t length = id % 5 == 0 ? 200'000 : 16;
    WorkRequest request;
    if (id % 3 == 0) request = ReadRequest(here, kHalf, there, kHalf, length);
    if (id % 3 == 1) request = WriteRequest(here, 0, there, 0, length);
    if (id % 3 == 2) {
      request = SendRequest(here, 0, 16);
      const auto offer = [&] {
        return pair.target.channel->PostReceive(receives, there.span(900'000, 64), there.local_key()) !=
               PostResult::kFull;
      };
      REQUIRE(pair.PollUntil(offer));
      ++receives;
    }
    request.id = id;
    request.signaled = id % 4 != 1 || id + 1 == kRequests;
    if (request.signaled) expected.push_back(id);
    pair.Post(std::span(&request, 1));
  }
  REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == expected.size(); }));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(pair.initiator.sent[i].id == expected[i]);
    CHECK(pair.initiator.sent[i].status == CompletionStatus::kOk);
    const std::array<Opcode, 3> opcodes = {Opcode::kRead, Opcode::kWrite, Opcode::kSend};
    CHECK(pair.initiator.sent[i].opcode == opcodes[expected[i] % 3]);
  }
  REQUIRE(pair.PollUntil([&] { return pair.target.received.size() == receives; }));
  for (std::uint64_t id = 0; id < receives; ++id) CHECK(pair.target.received[id].id == id);
}

TEST_CASE("aligned words are read and written in one piece") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  const Memory here(*pair.initiator.transport, 4096);
  const Memory there(*pair.target.transport, 4096);
  constexpr std::uint64_t kOnes = ~std::uint64_t{0};
  constexpr std::uint64_t kRounds = 1000;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> torn = 0;
  // The target's CPU flips one word and watches another.
  std::thread cpu([&] {
    while (!stop.load()) {
      Word(there, 64).store(kOnes, std::memory_order_relaxed);
      const std::uint64_t seen = Word(there, 128).load(std::memory_order_relaxed);
      if (seen != 0 && seen != kOnes) torn.fetch_add(1);
      Word(there, 64).store(0, std::memory_order_relaxed);
      std::this_thread::yield();
    }
  });
  std::uint64_t mixed = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    std::uint64_t value = round % 2 == 0 ? kOnes : 0;
    const std::array<WorkRequest, 2> chain = {WorkRequest{.opcode = Opcode::kWrite,
                                                          .inline_data = true,
                                                          .local = reinterpret_cast<std::byte*>(&value),
                                                          .length = 8,
                                                          .remote_address = there.remote(128),
                                                          .remote_key = there.remote_key()},
                                              Signaled(ReadRequest(here, 8, there, 64, 8), round)};
    pair.Post(chain);
    if (!pair.PollUntil([&] { return pair.initiator.sent.size() == round + 1; })) break;
    const std::uint64_t read = Word(here, 8).load(std::memory_order_relaxed);
    if (read != 0 && read != kOnes) ++mixed;
  }
  stop.store(true);
  cpu.join();
  CHECK(pair.initiator.sent.size() == kRounds);
  CHECK(mixed == 0);
  CHECK(torn.load() == 0);
}

TEST_CASE("WRITE a, READ b against store b, fence, load a: one of the two sees the other") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::size_t kRounds = 1500;
  const Memory here(*pair.initiator.transport, 4096);
  // Round i uses byte i of each half.
  const Memory there(*pair.target.transport, 4096);
  std::atomic<std::size_t> started = 0;
  std::atomic<std::size_t> finished = 0;
  std::array<bool, kRounds> cpu_saw{};
  std::thread cpu([&] {
    for (std::size_t round = 0; round < kRounds; ++round) {
      while (started.load() <= round) std::this_thread::yield();
      Byte(there, 2048 + round).store(1, std::memory_order_release);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      cpu_saw[round] = Byte(there, round).load(std::memory_order_acquire) != 0;
      finished.store(round + 1);
    }
  });
  std::size_t neither = 0;
  std::size_t rounds = 0;
  for (; rounds < kRounds; ++rounds) {
    std::uint8_t one = 1;
    const std::array<WorkRequest, 2> chain = {WorkRequest{.opcode = Opcode::kWrite,
                                                          .inline_data = true,
                                                          .local = reinterpret_cast<std::byte*>(&one),
                                                          .length = 1,
                                                          .remote_address = there.remote(rounds),
                                                          .remote_key = there.remote_key()},
                                              Signaled(ReadRequest(here, 0, there, 2048 + rounds, 1), rounds)};
    // Either may come first.
    if (rounds % 2 == 0) started.store(rounds + 1);
    if (pair.initiator.channel->Post(chain) != PostResult::kOk) break;
    if (rounds % 2 == 1) started.store(rounds + 1);
    const bool done =
        pair.PollUntil([&] { return pair.initiator.sent.size() == rounds + 1 && finished.load() == rounds + 1; });
    if (!done) break;
    if (Byte(here, 0).load() == 0 && !cpu_saw[rounds]) ++neither;
  }
  started.store(kRounds);
  cpu.join();
  CHECK(rounds == kRounds);
  CHECK(neither == 0);
}

}  // namespace
}  // namespace farfault
