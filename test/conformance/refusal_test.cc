#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <functional>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "test/conformance/channel_pair.h"

namespace farfault {
namespace {

constexpr std::uint32_t kSize = 65536;

struct Fixture {
  explicit Fixture(const Setup& setup)
      : pair(setup),
        here(*pair.initiator.transport, kSize),
        there(*pair.target.transport, kSize),
        read_only(*pair.target.transport, kSize, RemoteAccess::kRead),
        write_only(*pair.target.transport, kSize, RemoteAccess::kWrite),
        closed(*pair.target.transport, kSize, RemoteAccess::kNone),
        revoked(*pair.target.transport, kSize) {
    revoked_key = revoked.remote_key();
    revoked.Revoke();
  }

  WorkRequest Changed(WorkRequest request, const std::function<void(WorkRequest&)>& change) const {
    change(request);
    return request;
  }

  ChannelPair pair;
  Memory here;
  Memory there;
  Memory read_only;
  Memory write_only;
  Memory closed;
  Memory revoked;
  std::uint32_t revoked_key = 0;
};

struct BadRequest {
  std::string what;
  std::function<WorkRequest(Fixture&)> make;
};

std::vector<BadRequest> BadRequests() {
  std::vector<BadRequest> bad;
  for (const bool read : {false, true}) {
    const auto request = [read](Fixture& f, const Memory& remote, std::uint32_t length) {
      return read ? ReadRequest(f.here, 0, remote, 0, length) : WriteRequest(f.here, 0, remote, 0, length);
    };
    const auto add = [&](const std::string& what, const std::function<void(Fixture&, WorkRequest&)>& spoil) {
      bad.push_back({(read ? "READ " : "WRITE ") + what, [request, spoil](Fixture& f) {
                       WorkRequest made = request(f, f.there, 100);
                       spoil(f, made);
                       return made;
                     }});
    };
    add("with a key that does not exist",
        [](Fixture& f, WorkRequest& r) { r.remote_key = f.there.remote_key() ^ 0x10; });
    add("with key 0", [](Fixture&, WorkRequest& r) { r.remote_key = 0; });
    add("with the key of other memory", [](Fixture& f, WorkRequest& r) { r.remote_address = f.closed.remote(); });
    add("with a revoked key", [](Fixture& f, WorkRequest& r) {
      r.remote_address = reinterpret_cast<std::uint64_t>(f.revoked.data());
      r.remote_key = f.revoked_key;
    });
    add("that begins before the memory", [](Fixture&, WorkRequest& r) { r.remote_address -= 1; });
    add("that ends behind the memory", [](Fixture&, WorkRequest& r) { r.remote_address += kSize - 99; });
    add("that begins behind the memory", [](Fixture&, WorkRequest& r) { r.remote_address += kSize; });
    add("whose end overflows", [](Fixture&, WorkRequest& r) { r.remote_address = ~std::uint64_t{0} - 50; });
    add("that is one byte too long", [](Fixture& f, WorkRequest& r) {
      r.local = f.here.data();
      r.length = kSize;
      r.remote_address += 1;
    });
    add("of memory that is closed to the peer", [](Fixture& f, WorkRequest& r) {
      r.remote_address = reinterpret_cast<std::uint64_t>(f.closed.data());
      r.remote_key = f.closed.remote_key();
    });
    add("with a local key that does not exist", [](Fixture&, WorkRequest& r) { r.local_key ^= 0x10; });
    add("whose local bytes end behind the memory", [](Fixture&, WorkRequest& r) { r.local += kSize - 99; });
  }
  bad.push_back({"WRITE to read-only memory", [](Fixture& f) { return WriteRequest(f.here, 0, f.read_only, 0, 8); }});
  bad.push_back(
      {"READ of write-only memory", [](Fixture& f) { return ReadRequest(f.here, 0, f.write_only, 0, 4096); }});
  bad.push_back({"SEND of memory that is not registered", [](Fixture& f) {
                   WorkRequest request = SendRequest(f.here, 0, 64);
                   request.local_key ^= 0x10;
                   return request;
                 }});
  return bad;
}

TEST_CASE("a request that is not allowed fails and breaks the channel at both ends") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  for (const BadRequest& bad : BadRequests()) {
    INFO(bad.what);
    Fixture f(setup);
    REQUIRE(f.pair.target.channel->PostReceive(1, f.there.span(0, 4096), f.there.local_key()) == PostResult::kOk);
    REQUIRE(f.pair.initiator.channel->PostReceive(2, f.here.span(8192, 4096), f.here.local_key()) == PostResult::kOk);
    f.there.Fill(4);
    f.closed.Fill(5);
    f.read_only.Fill(6);
    // The one before it is done, the one behind it is not.
    f.here.FillRange(8, 0, 4096);
    CHECK(f.pair.Run(WriteRequest(f.here, 0, f.there, 4096, 64)).status == CompletionStatus::kOk);
    const std::array<WorkRequest, 2> chain = {Signaled(bad.make(f), 100),
                                              Signaled(WriteRequest(f.here, 64, f.there, 8192, 64), 101)};
    f.pair.Post(chain);
    REQUIRE(f.pair.PollUntil([&] {
      return f.pair.initiator.sent.size() == 3 && f.pair.initiator.received.size() == 1 &&
             f.pair.target.received.size() == 1;
    }));
    CHECK(f.pair.initiator.sent[1].id == 100);
    CHECK(f.pair.initiator.sent[1].status == CompletionStatus::kError);
    CHECK(f.pair.initiator.sent[2].id == 101);
    CHECK(f.pair.initiator.sent[2].status == CompletionStatus::kFlushed);
    for (Endpoint* end : {&f.pair.initiator, &f.pair.target}) {
      CHECK(end->received[0].status != CompletionStatus::kOk);
      CHECK(end->channel->broken());
      CHECK(!end->channel->failure().ok());
      CHECK(!end->channel->failure().message().empty());
      CHECK(end->channel->Post(chain) == PostResult::kBroken);
      CHECK(end->channel->PostReceive(3, f.here.span(0, 64), f.here.local_key()) == PostResult::kBroken);
      end->Poll();
    }
    CHECK(f.pair.initiator.sent.size() == 3);
    // Nothing else was touched.
    CHECK(f.there.Holds(4, 0, 4096));
    CHECK(f.closed.Holds(5, 0, kSize));
    CHECK(f.read_only.Holds(6, 0, kSize));
  }
}

TEST_CASE("a request that is not allowed does not disturb other channels and other memory") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  ChannelPair pair(setup);
  const Memory here(*pair.initiator.transport, kSize);
  const Memory there(*pair.target.transport, kSize);
  Connected second = pair.Connect({.service = setup.initiator}, {.service = setup.target});
  REQUIRE(second.connecting.ok());
  REQUIRE(second.accepting.ok());
  WorkRequest bad = Signaled(WriteRequest(here, 0, there, 0, 64), 1);
  bad.remote_key ^= 1;
  REQUIRE((*second.connecting)->Post(bad) == PostResult::kOk);
  std::array<Completion, 4> completions;
  std::size_t count = 0;
  REQUIRE(pair.PollUntil([&] {
    (*second.accepting)->Poll(completions);
    return (count = (*second.connecting)->Poll(completions)) > 0;
  }));
  CHECK(completions[0].status == CompletionStatus::kError);
  here.FillRange(3, 0, 4096);
  CHECK(pair.Run(WriteRequest(here, 0, there, 0, 4096)).status == CompletionStatus::kOk);
  CHECK(there.Holds(3, 0, 4096));
}

TEST_CASE("nothing enters memory whose registration has ended, even in the middle of traffic") {
  const Setup setup = GENERATE(from_range(ConformanceSetups()));
  INFO(setup.name());
  for (std::uint64_t round = 0; round < 6; ++round) {
    ChannelPair pair(setup);
    constexpr std::uint32_t kBlock = 1u << 20;
    const Memory here(*pair.initiator.transport, std::size_t{2} * kBlock);
    Memory there(*pair.target.transport, kBlock);
    here.FillRange(1, 0, kBlock);
    std::atomic<bool> stop = false;
    const std::array<WorkRequest, 2> chain = {WriteRequest(here, 0, there, 0, kBlock),
                                              Signaled(ReadRequest(here, kBlock, there, 0, kBlock), 1)};
    // Writes and reads as fast as it can until the channel breaks.
    std::thread traffic([&] {
      while (!stop.load() && !pair.initiator.channel->broken()) {
        static_cast<void>(pair.initiator.channel->Post(chain));
        pair.initiator.Poll();
      }
    });
    const absl::Time revoke_at = absl::Now() + absl::Microseconds(300 * round);
    while (absl::Now() < revoke_at) {
      pair.target.Poll();
      std::this_thread::yield();
    }
    there.Revoke();
    there.Fill(round);
    const absl::Time deadline = absl::Now() + kPatience;
    while (!pair.target.channel->broken() && absl::Now() < deadline) {
      pair.target.Poll();
      std::this_thread::yield();
    }
    CHECK(pair.target.channel->broken());
    CHECK(there.Holds(round, 0, kBlock));
    stop.store(true);
    traffic.join();
    REQUIRE(pair.PollUntil([&] { return pair.initiator.channel->broken(); }));
    CHECK(there.Holds(round, 0, kBlock));
  }
}

}  // namespace
}  // namespace farfault
