#include "lib/transport/tcp/tcp_channel.h"

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "lib/util/deadline.h"
#include "lib/util/splitmix.h"
#include "test/unit/transport/tcp/raw_peer.h"

namespace farfault {
namespace {

struct BadFrame {
  std::string what;
  FrameHeader header;
  absl::StatusCode code = absl::StatusCode::kDataLoss;
};

std::vector<BadFrame> BadFrames() {
  const FrameHeader write{.type = FrameType::kWrite, .length = 8, .number = 4096, .key = 1};
  const auto changed = [&](auto change) {
    FrameHeader header = write;
    change(header);
    return header;
  };
  return {
      {"type 0", {}},
      {"an unknown type", {.type = static_cast<FrameType>(7)}},
      {"the last type", {.type = static_cast<FrameType>(255)}},
      {"an unknown flag", changed([](FrameHeader& h) { h.flags = 2; })},
      {"a reserved field", changed([](FrameHeader& h) { h.reserved = 1; })},
      {"the other reserved field", changed([](FrameHeader& h) { h.reserved2 = 1; })},
      {"a SEND without a receive", {.type = FrameType::kSend, .length = 8}},
      {"an empty SEND without a receive", {.type = FrameType::kSend}},
      {"a huge SEND without a receive", {.type = FrameType::kSend, .length = ~std::uint32_t{0}}},
      {"a response to no READ", {.type = FrameType::kReadResponse, .length = 8}},
      {"a response to no READ, far ahead", {.type = FrameType::kReadResponse, .length = 8, .number = 1u << 30}},
      {"progress of what was not sent", {.type = FrameType::kProgress, .number = 1}},
      {"progress with a payload", {.type = FrameType::kProgress, .length = 4}},
      {"credits taken back", {.type = FrameType::kProgress, .key = ~std::uint32_t{0}}},
      {"a refusal with too much text", {.type = FrameType::kRefusal, .length = kMaxRefusalText + 1}},
      {"a WRITE with a wrong key", write, absl::StatusCode::kPermissionDenied},
      {"a READ with a wrong key",
       {.type = FrameType::kRead, .length = 8, .number = 4096, .key = 1},
       absl::StatusCode::kPermissionDenied},
      {"a huge WRITE", changed([](FrameHeader& h) { h.length = ~std::uint32_t{0}; }),
       absl::StatusCode::kPermissionDenied},
  };
}

TEST_CASE("a frame that breaks the wire format breaks the channel, with a reason at both ends") {
  const Service service = GENERATE(Service::kPolled, Service::kThread);
  for (const BadFrame& bad : BadFrames()) {
    INFO(bad.what);
    const RawConnection connection({.service = service});
    connection.peer->SendStruct(bad.header);
    connection.peer->SendStruct(std::array<std::byte, 256>{});
    REQUIRE(connection.PollUntilBroken());
    CHECK(connection.channel->failure().code() == bad.code);
    const std::vector<std::byte> bytes = connection.peer->Receive(sizeof(FrameHeader));
    REQUIRE(bytes.size() == sizeof(FrameHeader));
    FrameHeader header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    CHECK(header.type == FrameType::kRefusal);
    CHECK(header.length > 0);
    CHECK(connection.peer->Receive(header.length).size() == header.length);
    CHECK(connection.peer->SeesEnd());
  }
}

TEST_CASE("a refusal from the peer is printed without its control characters") {
  const RawConnection connection({.service = Service::kPolled});
  const std::string text = "no \x1b[31mway\n";
  connection.peer->SendStruct(FrameHeader{.type = FrameType::kRefusal,
                                          .length = static_cast<std::uint32_t>(text.size()),
                                          .key = static_cast<std::uint32_t>(Refusal::kOutOfBounds)});
  connection.peer->Send(text);
  REQUIRE(connection.PollUntilBroken());
  CHECK(absl::IsOutOfRange(connection.channel->failure()));
  CHECK(connection.channel->failure().message().find("no ?[31mway?") != std::string_view::npos);
}

TEST_CASE("a peer that dies in the middle of a frame is lost, not waited for") {
  const Service service = GENERATE(Service::kPolled, Service::kThread);
  RawConnection connection({.service = service});
  connection.peer->Send("\x01");
  connection.peer.reset();
  REQUIRE(connection.PollUntilBroken());
  CHECK(absl::IsUnavailable(connection.channel->failure()));
}

TEST_CASE("more READs than may be out at once break the channel") {
  const RawConnection connection({.service = Service::kPolled});
  std::vector<std::byte> memory(1u << 20);
  const auto registered = connection.transport->Register(memory, RemoteAccess::kRead);
  REQUIRE(registered.ok());
  // Nobody takes the answers, so they pile up.
  const FrameHeader read{.type = FrameType::kRead,
                         .length = 1u << 20,
                         .number = (*registered)->remote_address(),
                         .key = (*registered)->remote_key()};
  for (std::uint32_t i = 0; i < 3 * kTcpOutstandingReads; ++i) connection.peer->SendStruct(read);
  REQUIRE(connection.PollUntilBroken());
  CHECK(absl::IsDataLoss(connection.channel->failure()));
}

TEST_CASE("slots of unsignalled requests come free by themselves") {
  const auto transport = MakeTransport("tcp://127.0.0.1:0");
  REQUIRE(transport.ok());
  const auto listener = (*transport)->Listen("tcp://127.0.0.1:0");
  REQUIRE(listener.ok());
  absl::StatusOr<std::unique_ptr<Channel>> target = absl::UnknownError("not run");
  std::thread accept([&] {
    const auto incoming = (*listener)->Accept(Deadline::After(absl::Seconds(30)));
    if (incoming.ok()) target = (*incoming)->Accept({});
  });
  const auto channel = (*transport)
                           ->Connect((*listener)->address(), {}, {.service = Service::kPolled, .send_slots = 8},
                                     Deadline::After(absl::Seconds(30)));
  accept.join();
  REQUIRE(channel.ok());
  std::vector<std::byte> memory(64);
  const auto registered = (*transport)->Register(memory, RemoteAccess::kReadWrite);
  REQUIRE(registered.ok());
  const WorkRequest write{.opcode = Opcode::kWrite,
                          .local = memory.data(),
                          .length = 8,
                          .local_key = (*registered)->local_key(),
                          .remote_address = (*registered)->remote_address() + 32,
                          .remote_key = (*registered)->remote_key()};
  std::array<Completion, 4> completions;
  int posted = 0;
  for (const absl::Time deadline = absl::Now() + absl::Seconds(30); posted < 200 && absl::Now() < deadline;) {
    if ((*channel)->Post(write) == PostResult::kOk) ++posted;
    CHECK((*channel)->Poll(completions) == 0);
  }
  CHECK(posted == 200);
}

// Whatever bytes come, they neither crash the channel nor get past the memory that is registered.
TEST_CASE("random bytes break the channel and nothing else") {
  const std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{40}));
  CAPTURE(seed);
  SplitMix64 random(seed);
  const RawConnection connection({.service = seed % 2 == 0 ? Service::kPolled : Service::kThread, .receive_slots = 4});
  std::vector<std::byte> memory(3ul * 4096, std::byte{0x5a});
  const std::span<std::byte> middle = std::span(memory).subspan(4096, 4096);
  const auto registered = connection.transport->Register(middle, RemoteAccess::kReadWrite);
  REQUIRE(registered.ok());
  for (std::uint64_t id = 0; id < 4; ++id) {
    REQUIRE(connection.channel->PostReceive(id, middle.subspan(id * 64, 64), (*registered)->local_key()) ==
            PostResult::kOk);
  }
  for (int i = 0; i < 400 && !connection.channel->broken(); ++i) {
    // Mostly sound headers, so that some get past the first checks.
    FrameHeader header{.type = static_cast<FrameType>(1 + random.Next() % 6),
                       .flags = static_cast<std::uint8_t>(random.Next() % 2),
                       .length = static_cast<std::uint32_t>(random.Next() % 100),
                       .number = (*registered)->remote_address() + random.Next() % 4000,
                       .key = (*registered)->remote_key()};
    if (random.Next() % 50 == 0) header.number = random.Next();
    if (random.Next() % 50 == 0) header.length = static_cast<std::uint32_t>(random.Next());
    if (header.type == FrameType::kReadResponse || header.type == FrameType::kProgress) header.number %= 3;
    connection.peer->SendStruct(header);
    if (header.type == FrameType::kRead || header.type == FrameType::kProgress) continue;
    std::vector<std::byte> payload(std::min<std::uint32_t>(header.length, 200));
    for (std::byte& byte : payload) byte = static_cast<std::byte>(random.Next());
    connection.peer->Send(payload);
    std::array<Completion, 4> completions;
    connection.channel->Poll(completions);
  }
  connection.peer->FinishSending();
  REQUIRE(connection.PollUntilBroken());
  CHECK(!connection.channel->failure().ok());
  const auto untouched = [](std::byte byte) { return byte == std::byte{0x5a}; };
  CHECK(std::all_of(memory.begin(), memory.begin() + 4096, untouched));
  CHECK(std::all_of(memory.begin() + 2l * 4096, memory.end(), untouched));
}

}  // namespace
}  // namespace farfault
