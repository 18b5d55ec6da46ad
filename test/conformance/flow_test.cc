#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include "test/conformance/channel_pair.h"

namespace farfault {
namespace {

TEST_CASE("more requests than slots are refused as a whole, and fit again once completions are taken") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup, {.send_slots = 16, .receive_slots = 32});
  REQUIRE(pair.initiator.channel->limits().send_slots == 16);
  const Memory here(*pair.initiator.transport, 4096);
  const Memory there(*pair.target.transport, 4096);
  // SENDs that nobody takes hold their slots.
  std::uint64_t id = 0;
  for (; id < 10; ++id) REQUIRE(pair.initiator.channel->Post(Signaled(SendRequest(here, 0, 8), id)) == PostResult::kOk);
  std::array<WorkRequest, 7> chain;
  for (WorkRequest& request : chain) request = Signaled(SendRequest(here, 0, 8), id++);
  CHECK(pair.initiator.channel->Post(chain) == PostResult::kFull);
  CHECK(pair.initiator.channel->Post(std::span(chain).first(6)) == PostResult::kOk);
  CHECK(pair.initiator.channel->Post(std::span(chain).last(1)) == PostResult::kFull);
  for (std::uint64_t receive = 0; receive < 17; ++receive) {
    REQUIRE(pair.target.channel->PostReceive(receive, there.span(receive * 8, 8), there.local_key()) ==
            PostResult::kOk);
  }
  REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == 16; }));
  CHECK(pair.initiator.channel->Post(std::span(chain).last(1)) == PostResult::kOk);
  REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == 17 && pair.target.received.size() == 17; }));
  for (std::uint64_t i = 0; i < 17; ++i) CHECK(pair.initiator.sent[i].id == i);
}

TEST_CASE("receives are bounded by their slots") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup, {.receive_slots = 4});
  const Memory here(*pair.initiator.transport, 4096);
  const Memory there(*pair.target.transport, 4096);
  const auto offer = [&](std::uint64_t id) {
    return pair.target.channel->PostReceive(id, there.span(0, 64), there.local_key());
  };
  for (std::uint64_t id = 0; id < 4; ++id) REQUIRE(offer(id) == PostResult::kOk);
  CHECK(offer(4) == PostResult::kFull);
  CHECK(pair.Run(SendRequest(here, 0, 8)).status == CompletionStatus::kOk);
  REQUIRE(pair.PollUntil([&] { return pair.target.received.size() == 1; }));
  CHECK(offer(4) == PostResult::kOk);
}

TEST_CASE("any number of READs may be posted, up to the slots") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup, {.send_slots = 2048});
  REQUIRE(pair.initiator.channel->limits().max_outstanding_reads >= 1);
  const std::size_t reads =
      std::min<std::size_t>(2000, std::size_t{4} * pair.initiator.channel->limits().max_outstanding_reads);
  const Memory here(*pair.initiator.transport, reads * 4096);
  const Memory there(*pair.target.transport, reads * 4096);
  there.Fill(3);
  for (std::size_t i = 0; i < reads; ++i) {
    REQUIRE(pair.initiator.channel->Post(Signaled(ReadRequest(here, i * 4096, there, i * 4096, 4096), i)) ==
            PostResult::kOk);
  }
  REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == reads; }));
  CHECK(here.Holds(3, 0, reads * 4096));
  for (std::size_t i = 0; i < reads; ++i) CHECK(pair.initiator.sent[i].id == i);
}

TEST_CASE("a SEND waits for a receive, what is behind it waits with it, and the other direction does not") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  const Memory here(*pair.initiator.transport, 8192);
  const Memory there(*pair.target.transport, 8192);
  here.FillRange(1, 0, 4096);
  const std::array<WorkRequest, 3> chain = {Signaled(WriteRequest(here, 0, there, 0, 1024), 1),
                                            Signaled(SendRequest(here, 0, 1024), 2),
                                            Signaled(WriteRequest(here, 0, there, 4096, 1024), 3)};
  pair.Post(chain);
  REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == 1; }));
  // Requests of the target pass in both directions meanwhile.
  for (std::uint64_t id = 0; id < 20; ++id) {
    REQUIRE(pair.target.channel->Post(Signaled(ReadRequest(there, 2048, here, 0, 1024), id)) == PostResult::kOk);
    REQUIRE(pair.PollUntil([&] { return pair.target.sent.size() == id + 1; }));
    CHECK(there.Holds(1, 2048, 1024));
  }
  CHECK(pair.initiator.sent.size() == 1);
  CHECK(!there.Holds(1, 4096, 1024));
  REQUIRE(pair.target.channel->PostReceive(7, there.span(6144, 1024), there.local_key()) == PostResult::kOk);
  REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == 3 && pair.target.received.size() == 1; }));
  CHECK(there.Holds(1, 6144, 1024));
  CHECK(there.Holds(1, 4096, 1024));
}

TEST_CASE("a SEND that is longer than its receive breaks the channel") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  const auto [length, room] = GENERATE(table<std::uint32_t, std::uint32_t>({{65, 64}, {100'000, 4096}, {1, 0}}));
  CAPTURE(length, room);
  ChannelPair pair(setup);
  const Memory here(*pair.initiator.transport, 100'000);
  const Memory there(*pair.target.transport, 100'000);
  there.FillRange(2, 0, room);
  there.FillRange(3, room, 100'000 - room);
  REQUIRE(pair.target.channel->PostReceive(1, there.span(0, room), there.local_key()) == PostResult::kOk);
  CHECK(pair.Run(SendRequest(here, 0, length)).status == CompletionStatus::kError);
  REQUIRE(pair.PollUntil([&] { return pair.target.received.size() == 1; }));
  CHECK(pair.target.received[0].status != CompletionStatus::kOk);
  CHECK(pair.initiator.channel->broken());
  CHECK(pair.target.channel->broken());
  if (setup.fabric.refuses_whole_messages) CHECK(there.Holds(2, 0, room));
  CHECK(there.Holds(3, room, 100'000 - room));
}

TEST_CASE("many channels carry traffic at once, each in its own order") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::size_t kChannels = 12;
  constexpr std::uint32_t kBlock = 100'000;
  const Memory here(*pair.initiator.transport, kChannels * kBlock);
  const Memory there(*pair.target.transport, kChannels * kBlock);
  const Memory back(*pair.initiator.transport, kChannels * kBlock);
  std::vector<Connected> channels;
  for (std::size_t i = 0; i < kChannels; ++i) {
    channels.push_back(pair.Connect({.service = setup.initiator}, {.service = setup.target}));
    REQUIRE(channels.back().connecting.ok());
    REQUIRE(channels.back().accepting.ok());
  }
  for (std::uint64_t round = 0; round < 5; ++round) {
    for (std::size_t i = 0; i < kChannels; ++i) {
      here.FillRange(round * 100 + i, i * kBlock, kBlock);
      const std::array<WorkRequest, 2> chain = {WriteRequest(here, i * kBlock, there, i * kBlock, kBlock),
                                                Signaled(ReadRequest(back, i * kBlock, there, i * kBlock, kBlock), i)};
      REQUIRE((*channels[i].connecting)->Post(chain) == PostResult::kOk);
    }
    std::size_t completed = 0;
    REQUIRE(pair.PollUntil([&] {
      std::array<Completion, 4> completions;
      for (Connected& channel : channels) {
        CHECK((*channel.accepting)->Poll(completions) == 0);
        completed += (*channel.connecting)->Poll(completions);
      }
      return completed == kChannels;
    }));
    for (std::size_t i = 0; i < kChannels; ++i) CHECK(back.Holds(round * 100 + i, i * kBlock, kBlock));
  }
}

}  // namespace
}  // namespace farfault
