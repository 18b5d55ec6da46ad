#include <poll.h>

#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <thread>

#include "absl/time/clock.h"
#include "test/conformance/channel_pair.h"

namespace farfault {
namespace {

constexpr std::uint32_t kBlock = 1u << 20;
constexpr std::uint64_t kRequests = 12;

enum class How { kClose, kDestroy };

// Every signalled request has one completion: good ones first, then none.
void CheckFlushed(const std::vector<Completion>& completions, std::uint64_t posted) {
  CHECK(completions.size() == posted);
  bool lost = false;
  for (std::uint64_t i = 0; i < completions.size(); ++i) {
    CHECK(completions[i].id == i);
    if (completions[i].status != CompletionStatus::kOk) lost = true;
    if (lost) CHECK(completions[i].status != CompletionStatus::kOk);
  }
}

TEST_CASE("a close in the middle flushes every request and receive exactly once") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  const Opcode opcode = GENERATE(Opcode::kRead, Opcode::kWrite, Opcode::kSend);
  const bool initiator_closes = GENERATE(true, false);
  const How how = GENERATE(How::kClose, How::kDestroy);
  INFO(setup.name());
  CAPTURE(opcode, initiator_closes, how);
  ChannelPair pair(setup);
  const Memory here(*pair.initiator.transport, std::size_t{2} * kBlock);
  const Memory there(*pair.target.transport, std::size_t{2} * kBlock);
  constexpr std::uint64_t kReceives = 5;
  for (std::uint64_t id = 0; id < kReceives; ++id) {
    REQUIRE(pair.initiator.channel->PostReceive(id, here.span(kBlock, 64), here.local_key()) == PostResult::kOk);
    // Room for some of the SENDs, not for all.
    REQUIRE(pair.target.channel->PostReceive(id, there.span(kBlock, kBlock), there.local_key()) == PostResult::kOk);
  }
  for (std::uint64_t id = 0; id < kRequests; ++id) {
    WorkRequest request = opcode == Opcode::kRead    ? ReadRequest(here, 0, there, 0, kBlock)
                          : opcode == Opcode::kWrite ? WriteRequest(here, 0, there, 0, kBlock)
                                                     : SendRequest(here, 0, kBlock);
    REQUIRE(pair.initiator.channel->Post(Signaled(request, id)) == PostResult::kOk);
  }
  REQUIRE(pair.PollUntil([&] { return !pair.initiator.sent.empty(); }));
  Endpoint& closing = initiator_closes ? pair.initiator : pair.target;
  Endpoint& other = initiator_closes ? pair.target : pair.initiator;
  if (how == How::kClose) {
    closing.channel->Close();
    CHECK(closing.channel->broken());
  } else {
    closing.channel.reset();
  }
  const auto finished = [&](const Endpoint& end) {
    if (end.channel == nullptr) return true;
    const std::uint64_t requests = &end == &pair.initiator ? kRequests : 0;
    return end.channel->broken() && end.sent.size() >= requests && end.received.size() >= kReceives;
  };
  REQUIRE(pair.PollUntil([&] { return finished(closing) && finished(other); }));
  for (int i = 0; i < 10; ++i) {
    if (closing.channel != nullptr) closing.Poll();
    other.Poll();
  }
  for (Endpoint* end : {&closing, &other}) {
    if (end->channel == nullptr) continue;
    CheckFlushed(end->sent, end == &pair.initiator ? kRequests : 0);
    CheckFlushed(end->received, kReceives);
    CHECK(end->channel->broken());
    CHECK(!end->channel->failure().ok());
    CHECK(end->channel->Post(SendRequest(here, 0, 1)) == PostResult::kBroken);
    end->channel->Close();
  }
}

TEST_CASE("once a channel is destroyed its peer can no longer touch this side's memory") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  const Memory here(*pair.initiator.transport, kBlock);
  const Memory there(*pair.target.transport, kBlock);
  here.Fill(1);
  for (std::uint64_t id = 0; id < kRequests; ++id) {
    REQUIRE(pair.initiator.channel->Post(Signaled(WriteRequest(here, 0, there, 0, kBlock), id)) == PostResult::kOk);
  }
  REQUIRE(pair.PollUntil([&] { return !pair.initiator.sent.empty(); }));
  pair.target.channel.reset();
  there.Fill(2);
  REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == kRequests; }));
  CHECK(there.Holds(2, 0, kBlock));
}

TEST_CASE("Close by another thread wakes an owner that sleeps, at either end") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  const bool own_end = GENERATE(true, false);
  INFO(setup.name());
  CAPTURE(own_end);
  ChannelPair pair(setup);
  const Memory here(*pair.initiator.transport, 4096);
  REQUIRE(pair.initiator.channel->PostReceive(0, here.span(0, 64), here.local_key()) == PostResult::kOk);
  std::atomic<bool> asleep = false;
  std::thread closer([&] {
    while (!asleep.load()) std::this_thread::yield();
    absl::SleepFor(absl::Milliseconds(5));
    (own_end ? pair.initiator : pair.target).channel->Close();
  });
  const absl::Time deadline = absl::Now() + kPatience;
  bool woken_in_time = true;
  while (pair.initiator.received.empty() && absl::Now() < deadline) {
    pair.initiator.Poll();
    if (!pair.initiator.received.empty() || !pair.initiator.channel->PrepareToSleep()) continue;
    const WaitHandle handle = pair.initiator.channel->wait_handle();
    pollfd waited{handle.fd, handle.events, 0};
    asleep.store(true);
    woken_in_time = poll(&waited, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))) > 0;
  }
  closer.join();
  CHECK(woken_in_time);
  REQUIRE(pair.initiator.received.size() == 1);
  CHECK(pair.initiator.received[0].status == CompletionStatus::kFlushed);
  CHECK(!pair.initiator.channel->failure().ok());
}

TEST_CASE("Close may come at any moment, from any thread") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  for (int round = 0; round < 10; ++round) {
    ChannelPair pair(setup);
    const Memory here(*pair.initiator.transport, kBlock);
    const Memory there(*pair.target.transport, kBlock);
    std::thread closer([&] {
      absl::SleepFor(absl::Microseconds(150 * round));
      (round % 2 == 0 ? pair.initiator : pair.target).channel->Close();
    });
    std::uint64_t posted = 0;
    const absl::Time deadline = absl::Now() + kPatience;
    for (PostResult result = PostResult::kOk; result != PostResult::kBroken && absl::Now() < deadline;) {
      result = pair.initiator.channel->Post(Signaled(WriteRequest(here, 0, there, 0, 50'000), posted));
      if (result == PostResult::kOk) ++posted;
      pair.initiator.Poll();
      pair.target.Poll();
    }
    closer.join();
    REQUIRE(pair.PollUntil([&] { return pair.initiator.sent.size() == posted; }));
    CheckFlushed(pair.initiator.sent, posted);
  }
}

}  // namespace
}  // namespace farfault
