#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "lib/util/unique_fd.h"
#include "test/conformance/channel_pair.h"

namespace farfault {
namespace {

// Sleeps on the channel until Poll may have something. False: the wake was missed.
bool Sleep(Channel& channel) {
  if (!channel.PrepareToSleep()) return true;
  const WaitHandle handle = channel.wait_handle();
  pollfd waited{handle.fd, handle.events, 0};
  return poll(&waited, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))) > 0;
}

TEST_CASE("owners that sleep between messages miss none") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::uint64_t kRounds = 400;
  const Memory here(*pair.initiator.transport, 4096);
  const Memory there(*pair.target.transport, 4096);
  // Each side answers the other's message with its next; both only ever sleep.
  const auto play = [](Endpoint& end, const Memory& memory, bool first) {
    bool ok = end.channel->PostReceive(0, memory.span(0, 64), memory.local_key()) == PostResult::kOk;
    if (first) ok = ok && end.channel->Post(Signaled(SendRequest(memory, 64, 64), 0)) == PostResult::kOk;
    std::size_t answered = 0;
    std::size_t sends = first ? 1 : 0;
    for (; ok; end.Poll()) {
      if (end.received.size() == kRounds && end.sent.size() == kRounds) break;
      if (answered == end.received.size()) {
        ok = Sleep(*end.channel);
        continue;
      }
      ++answered;
      ok = end.channel->PostReceive(answered, memory.span(0, 64), memory.local_key()) == PostResult::kOk;
      if (sends < kRounds) {
        ok = ok && end.channel->Post(Signaled(SendRequest(memory, 64, 64), sends++)) == PostResult::kOk;
      }
    }
    return ok;
  };
  bool target_ok = false;
  std::thread target([&] { target_ok = play(pair.target, there, false); });
  const bool initiator_ok = play(pair.initiator, here, true);
  target.join();
  CHECK(initiator_ok);
  CHECK(target_ok);
  CHECK(pair.initiator.received.size() == kRounds);
  CHECK(pair.target.received.size() == kRounds);
}

TEST_CASE("an initiator that sleeps gets through transfers that fill every buffer on the way") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::uint32_t kBlock = 8u << 20;
  constexpr std::uint64_t kBlocks = 8;
  // The first half is written, the second read.
  const Memory here(*pair.initiator.transport, std::size_t{2} * kBlock);
  const Memory there(*pair.target.transport, std::size_t{2} * kBlock);
  here.FillRange(1, 0, kBlock);
  there.FillRange(2, kBlock, kBlock);
  std::atomic<bool> stop = false;
  bool target_ok = true;
  std::thread target([&] {
    // A polled target has to wake for the bytes; one with a thread has nothing to do.
    while (setup.target == Service::kPolled && target_ok && !stop.load()) {
      pair.target.Poll();
      target_ok = Sleep(*pair.target.channel);
    }
  });
  bool initiator_ok = true;
  for (std::uint64_t id = 0; id < kBlocks; ++id) {
    const WorkRequest request =
        id % 2 == 0 ? WriteRequest(here, 0, there, 0, kBlock) : ReadRequest(here, kBlock, there, kBlock, kBlock);
    initiator_ok = initiator_ok && pair.initiator.channel->Post(Signaled(request, id)) == PostResult::kOk;
  }
  while (initiator_ok && pair.initiator.sent.size() < kBlocks) {
    pair.initiator.Poll();
    if (pair.initiator.sent.size() < kBlocks) initiator_ok = Sleep(*pair.initiator.channel);
  }
  stop.store(true);
  pair.initiator.channel->Close();
  target.join();
  CHECK(initiator_ok);
  CHECK(target_ok);
  CHECK(pair.initiator.sent.size() == kBlocks);
  for (const Completion& completion : pair.initiator.sent) CHECK(completion.status == CompletionStatus::kOk);
  CHECK(there.Holds(1, 0, kBlock));
  CHECK(here.Holds(2, kBlock, kBlock));
}

TEST_CASE("a served channel executes one-sided requests although its owner never polls") {
  const Fabric fabric = GENERATE(from_range(ConformanceFabrics()));
  INFO(fabric.name);
  ChannelPair pair({fabric, Service::kPolled, Service::kThread});
  const Memory here(*pair.initiator.transport, 65536);
  const Memory there(*pair.target.transport, 65536);
  const absl::Time deadline = absl::Now() + kPatience;
  for (std::uint64_t round = 0; round < 100; ++round) {
    here.FillRange(round, 0, 4096);
    const std::array<WorkRequest, 2> chain = {WriteRequest(here, 0, there, 4096, 4096),
                                              Signaled(ReadRequest(here, 8192, there, 4096, 4096), round)};
    REQUIRE(pair.initiator.channel->Post(chain) == PostResult::kOk);
    while (pair.initiator.sent.size() == round && absl::Now() < deadline) pair.initiator.Poll();
    REQUIRE(pair.initiator.sent.size() == round + 1);
    CHECK(here.Holds(round, 8192, 4096));
  }
}

TEST_CASE("one thread sleeps on several channels and a descriptor of its own") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  constexpr std::size_t kChannels = 4;
  std::vector<Connected> channels;
  for (std::size_t i = 0; i < kChannels; ++i) {
    channels.push_back(pair.Connect({.service = setup.initiator}, {.service = setup.target}));
    REQUIRE(channels.back().connecting.ok());
    REQUIRE(channels.back().accepting.ok());
  }
  const Memory here(*pair.initiator.transport, 4096);
  const Memory there(*pair.target.transport, 4096);
  const UniqueFd event(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  REQUIRE(event.valid());
  for (Connected& channel : channels) {
    REQUIRE((*channel.accepting)->PostReceive(0, there.span(0, 64), there.local_key()) == PostResult::kOk);
  }
  bool all_posted = true;
  bool event_sent = false;
  std::thread sender([&] {
    std::array<Completion, 4> completions;
    for (Connected& channel : channels) {
      absl::SleepFor(absl::Milliseconds(2));
      all_posted &= (*channel.connecting)->Post(Signaled(SendRequest(here, 0, 8), 0)) == PostResult::kOk;
      const absl::Time deadline = absl::Now() + kPatience;
      while ((*channel.connecting)->Poll(completions) == 0 && absl::Now() < deadline) std::this_thread::yield();
    }
    const std::uint64_t one = 1;
    event_sent = write(event.get(), &one, sizeof(one)) == sizeof(one);
  });
  std::size_t received = 0;
  bool event_came = false;
  bool missed = false;
  while (!missed && (received < kChannels || !event_came)) {
    std::array<Completion, 4> completions;
    bool may_sleep = true;
    for (Connected& channel : channels) received += (*channel.accepting)->Poll(completions);
    std::array<pollfd, kChannels + 1> waited;
    for (std::size_t i = 0; i < kChannels; ++i) {
      may_sleep &= (*channels[i].accepting)->PrepareToSleep();
      const WaitHandle handle = (*channels[i].accepting)->wait_handle();
      waited[i] = {handle.fd, handle.events, 0};
    }
    waited[kChannels] = {event.get(), POLLIN, 0};
    const int timeout = may_sleep ? static_cast<int>(absl::ToInt64Milliseconds(kPatience)) : 0;
    missed = poll(waited.data(), waited.size(), timeout) == 0 && may_sleep;
    event_came |= waited[kChannels].revents != 0;
  }
  sender.join();
  CHECK(all_posted);
  CHECK(event_sent);
  CHECK(!missed);
  CHECK(received == kChannels);
}

}  // namespace
}  // namespace farfault
