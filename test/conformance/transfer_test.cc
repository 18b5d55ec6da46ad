#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <cstring>
#include <string>
#include <thread>

#include "lib/util/deadline.h"
#include "test/conformance/channel_pair.h"

namespace farfault {
namespace {

TEST_CASE("bytes arrive unchanged, whatever their number") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  const std::size_t most = std::size_t{16} << 20;
  const Memory here(*pair.initiator.transport, most + 64);
  const Memory there(*pair.target.transport, most + 64);
  std::uint64_t seed = 1;
  for (const std::size_t length :
       {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{8}, std::size_t{9}, std::size_t{63},
        std::size_t{64}, std::size_t{65}, std::size_t{255}, std::size_t{257}, std::size_t{4096}, std::size_t{65536},
        (std::size_t{1} << 20) + 13, most}) {
    CAPTURE(length);
    const auto wire_length = static_cast<std::uint32_t>(length);
    for (const std::size_t offset : {std::size_t{0}, std::size_t{3}}) {
      here.FillRange(++seed, offset, length);
      CHECK(pair.Run(WriteRequest(here, offset, there, 8 - offset, wire_length)).status == CompletionStatus::kOk);
      std::memset(here.data(), 0, here.size());
      CHECK(pair.Run(ReadRequest(here, 5, there, 8 - offset, wire_length)).status == CompletionStatus::kOk);
      CHECK(here.Holds(seed, 5, length));
      CHECK(here.at(4)[0] == std::byte{0});
      CHECK(here.at(5 + length)[0] == std::byte{0});
    }
  }
}

TEST_CASE("a message arrives whole, with its length, in the buffer that was offered first") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::uint32_t kRoom = 1u << 20;
  const Memory here(*pair.initiator.transport, kRoom);
  const Memory there(*pair.target.transport, std::size_t{4} * kRoom);
  const std::array<std::uint32_t, 4> lengths = {kRoom, 0, 1, 70'000};
  for (std::uint64_t id = 0; id < lengths.size(); ++id) {
    REQUIRE(pair.target.channel->PostReceive(id, there.span(id * kRoom, kRoom), there.local_key()) == PostResult::kOk);
  }
  for (std::uint64_t id = 0; id < lengths.size(); ++id) {
    here.FillRange(id, 0, lengths[id]);
    CHECK(pair.Run(Signaled(SendRequest(here, 0, lengths[id]), id)).id == id);
  }
  REQUIRE(pair.PollUntil([&] { return pair.target.received.size() == lengths.size(); }));
  for (std::uint64_t id = 0; id < lengths.size(); ++id) {
    CHECK(pair.target.received[id].status == CompletionStatus::kOk);
    CHECK(pair.target.received[id].id == id);
    CHECK(pair.target.received[id].length == lengths[id]);
    CHECK(there.Holds(id, id * kRoom, lengths[id]));
  }
}

TEST_CASE("both ends write, read and send at the same time") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::uint32_t kBlock = 3u << 20;
  constexpr std::size_t kBlocks = 4;
  std::array<Endpoint*, 2> ends = {&pair.initiator, &pair.target};
  std::array<Memory, 2> own = {Memory(*ends[0]->transport, kBlocks * kBlock),
                               Memory(*ends[1]->transport, kBlocks * kBlock)};
  // Per side: 0 what it sends, 1 what the peer writes, 2 what it reads from the peer's block 0, 3 messages.
  for (std::size_t side = 0; side < 2; ++side) own[side].FillRange(side + 1, 0, kBlock);
  for (std::size_t side = 0; side < 2; ++side) {
    REQUIRE(ends[side]->channel->PostReceive(9, own[side].span(std::size_t{3} * kBlock, kBlock),
                                             own[side].local_key()) == PostResult::kOk);
  }
  for (std::size_t side = 0; side < 2; ++side) {
    const Memory& mine = own[side];
    const Memory& other = own[1 - side];
    const std::array<WorkRequest, 3> chain = {Signaled(WriteRequest(mine, 0, other, kBlock, kBlock), 1),
                                              Signaled(ReadRequest(mine, std::size_t{2} * kBlock, other, 0, kBlock), 2),
                                              Signaled(SendRequest(mine, 0, kBlock), 3)};
    REQUIRE(ends[side]->channel->Post(chain) == PostResult::kOk);
  }
  REQUIRE(pair.PollUntil([&] {
    return ends[0]->sent.size() == 3 && ends[1]->sent.size() == 3 && ends[0]->received.size() == 1 &&
           ends[1]->received.size() == 1;
  }));
  for (std::size_t side = 0; side < 2; ++side) {
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(ends[side]->sent[i].id == i + 1);
      CHECK(ends[side]->sent[i].status == CompletionStatus::kOk);
    }
    for (const std::size_t block : {1u, 2u, 3u}) CHECK(own[side].Holds(2 - side, block * kBlock, kBlock));
  }
}

TEST_CASE("inline data is copied while it is posted") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  REQUIRE(pair.initiator.channel->limits().inline_bytes >= 64);
  const Memory here(*pair.initiator.transport, 4096);
  const Memory there(*pair.target.transport, 65536);
  constexpr std::size_t kWrites = 200;
  for (std::size_t i = 0; i < kWrites; ++i) {
    std::array<std::byte, 64> bytes;
    bytes.fill(static_cast<std::byte>(i));
    WorkRequest request{.opcode = Opcode::kWrite,
                        .signaled = i + 1 == kWrites,
                        .inline_data = true,
                        .local = bytes.data(),
                        .length = 64,
                        .remote_address = there.remote(i * 64),
                        .remote_key = there.remote_key()};
    pair.Post(std::span(&request, 1));
    bytes.fill(std::byte{0xff});
  }
  REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == 1; }));
  const Memory back(*pair.initiator.transport, kWrites * 64);
  CHECK(pair.Run(ReadRequest(back, 0, there, 0, kWrites * 64)).status == CompletionStatus::kOk);
  int wrong = 0;
  for (std::size_t i = 0; i < kWrites * 64; ++i) wrong += *back.at(i) == static_cast<std::byte>(i / 64) ? 0 : 1;
  CHECK(wrong == 0);
}

TEST_CASE("the private data of a connection request arrives") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  const auto connecting = MakeTransport(fabric.listen_address);
  const auto accepting = MakeTransport(fabric.listen_address);
  REQUIRE(connecting.ok());
  REQUIRE(accepting.ok());
  const auto listener = (*accepting)->Listen(fabric.listen_address);
  REQUIRE(listener.ok());
  PrivateData sent;
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(255 - i);
  PrivateData arrived{};
  std::string peer;
  absl::Status accepted = absl::UnknownError("no connection came in");
  std::thread accept([&] {
    const auto incoming = (*listener)->Accept(Deadline::After(kPatience));
    if (!incoming.ok()) return;
    arrived = (*incoming)->private_data();
    peer = (*incoming)->peer();
    accepted = (*incoming)->Accept({}).status();
  });
  CHECK((*connecting)->Connect((*listener)->address(), sent, {}, Deadline::After(kPatience)).ok());
  accept.join();
  INFO(accepted.ToString());
  CHECK(accepted.ok());
  CHECK(!peer.empty());
  CHECK(arrived == sent);
}

}  // namespace
}  // namespace farfault
