#include "lib/session/control_link.h"

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "lib/transport/rails/rail_keys.h"
#include "test/support/destination_harness.h"
#include "test/support/fake_placement.h"
#include "test/support/scripted_channel.h"

namespace farfault {
namespace {

struct Harness {
  ScriptedChannel channel;
  std::vector<std::byte> buffers = std::vector<std::byte>(ControlLink::kBufferBytes);
  ControlLink link{channel, buffers, 3};
};

TEST_CASE("a message arrives as it was sent", "[control]") {
  Harness harness;
  harness.link.SendStruct(MessageType::kPushComplete, PushCompleteMessage{{1, 2, 3}});
  const std::vector<ScriptedChannel::Posted> posted = harness.channel.TakePosted();
  REQUIRE(posted.size() == 1);
  CHECK_FALSE(harness.link.flushed());
  harness.channel.Complete();
  REQUIRE(harness.channel.Deliver(posted[0].bytes));
  const auto message = harness.link.Receive();
  REQUIRE(message);
  CHECK(harness.link.flushed());
  CHECK(message->type == MessageType::kPushComplete);
  REQUIRE(message->As<PushCompleteMessage>());
  CHECK(message->As<PushCompleteMessage>()->lists_sent[2] == 3);
  CHECK_FALSE(message->As<FailureMessage>());
  CHECK_FALSE(harness.link.Receive());
  CHECK(harness.link.status().ok());
}

TEST_CASE("many runs go out in several messages of one type and in order", "[control]") {
  Harness harness;
  std::vector<PageRun> runs;
  for (std::uint64_t i = 0; i < 2 * kMaxRunsPerMessage + 7; ++i) runs.push_back({i * 3, 1 + i % 5});
  harness.link.SendRuns(MessageType::kHoles, runs);
  const std::vector<SentMessage> sent = TakeMessages(harness.channel);
  REQUIRE(sent.size() == 3);
  std::vector<PageRun> received;
  for (const SentMessage& message : sent) {
    CHECK(message.type == MessageType::kHoles);
    const auto decoded = DecodeRuns(message.payload);
    REQUIRE(decoded);
    received.insert(received.end(), decoded->begin(), decoded->end());
  }
  CHECK(received == runs);
  harness.link.SendRuns(MessageType::kHoles, {});
  CHECK(harness.channel.TakePosted().empty());
}

TEST_CASE("more messages than there are buffers wait in order", "[control]") {
  Harness harness;
  constexpr std::uint32_t kMessages = 3 * ControlLink::kSends;
  for (std::uint32_t i = 0; i < kMessages; ++i) harness.link.SendStruct(MessageType::kFailure, FailureMessage{i});
  CHECK(harness.channel.outstanding() == ControlLink::kSends);
  while (!harness.link.flushed()) {
    harness.channel.Complete(5);
    CHECK_FALSE(harness.link.Receive());
  }
  const std::vector<SentMessage> sent = TakeMessages(harness.channel);
  REQUIRE(sent.size() == kMessages);
  for (std::uint32_t i = 0; i < kMessages; ++i) {
    FailureMessage message;
    std::memcpy(&message, sent[i].payload.data(), sizeof(message));
    CHECK(message.code == i);
  }
}

TEST_CASE("receives are posted again, however many messages come", "[control]") {
  Harness harness;
  for (std::size_t i = 0; i < 5 * ControlLink::kReceives; ++i) {
    REQUIRE(harness.channel.Deliver(ControlBytes(MessageType::kGoodbye)));
    REQUIRE(harness.link.Receive());
  }
  CHECK_FALSE(harness.link.Receive());
  CHECK(harness.channel.receives_posted() == ControlLink::kReceives);
}

std::uint32_t Opened(RailKeyBook& keys, std::uint32_t on_second_rail) {
  const auto key = keys.Add({.remote = {1, on_second_rail}, .open = true});
  REQUIRE(key.ok());
  return *key;
}

TEST_CASE("new keys travel before the message that may name them, and only once", "[control]") {
  Harness from;
  Harness to;
  RailKeyBook own;
  RailKeyBook peers;
  // Nobody has proved anything yet.
  const std::uint32_t key = Opened(own, 77);
  from.link.Send(MessageType::kProof);
  CHECK(TakeMessages(from.channel).size() == 1);
  from.link.ShareKeys(&own);
  from.link.Send(MessageType::kExtents);
  from.link.Send(MessageType::kGoodbye);
  const std::vector<SentMessage> sent = TakeMessages(from.channel);
  REQUIRE(sent.size() == 3);
  CHECK(sent[0].type == MessageType::kRailKeys);
  CHECK(sent[1].type == MessageType::kExtents);

  to.link.ShareKeys(&peers);
  for (const SentMessage& message : sent) REQUIRE(to.channel.Deliver(ControlBytes(message.type, message.payload)));
  const auto first = to.link.Receive();
  REQUIRE(first);
  CHECK(first->type == MessageType::kExtents);
  CHECK(peers.PeersKey(1, key) == 77);
  CHECK(to.link.Receive()->type == MessageType::kGoodbye);
  CHECK_FALSE(to.link.Receive());
  CHECK(to.channel.receives_posted() == ControlLink::kReceives);
}

TEST_CASE("as many keys as there can be travel in messages of bounded size", "[control]") {
  Harness from;
  Harness to;
  RailKeyBook own;
  RailKeyBook peers;
  std::vector<std::uint32_t> keys;
  for (std::uint32_t i = 0; i < 2 * kMaxRailKeysPerMessage + 1; ++i) keys.push_back(Opened(own, 1000 + i));
  from.link.ShareKeys(&own);
  from.link.Send(MessageType::kGoodbye);
  const std::vector<SentMessage> sent = TakeMessages(from.channel);
  REQUIRE(sent.size() == 4);
  to.link.ShareKeys(&peers);
  for (const SentMessage& message : sent) REQUIRE(to.channel.Deliver(ControlBytes(message.type, message.payload)));
  CHECK(to.link.Receive()->type == MessageType::kGoodbye);
  int unknown = 0;
  for (std::uint32_t i = 0; i < keys.size(); ++i) unknown += peers.PeersKey(1, keys[i]) == 1000 + i ? 0 : 1;
  CHECK(unknown == 0);
}

TEST_CASE("keys that nobody waits for are a message like any other", "[control]") {
  Harness harness;
  const WireRailKeys keys{.key = 5, .on_rail = {1, 2}};
  REQUIRE(harness.channel.Deliver(ControlBytes(MessageType::kRailKeys, std::as_bytes(std::span(&keys, 1)))));
  const auto message = harness.link.Receive();
  REQUIRE(message);
  CHECK(message->type == MessageType::kRailKeys);
}

TEST_CASE("keys that make no sense end the link", "[control]") {
  Harness harness;
  RailKeyBook peers;
  harness.link.ShareKeys(&peers);
  std::vector<std::byte> payload(sizeof(WireRailKeys) + 1);
  SECTION("none") { payload.clear(); }
  SECTION("a part of one") {}
  REQUIRE(harness.channel.Deliver(ControlBytes(MessageType::kRailKeys, payload)));
  CHECK_FALSE(harness.link.Receive());
  CHECK(harness.link.status().code() == absl::StatusCode::kDataLoss);
  CHECK(harness.link.status().message().find("rails") != std::string::npos);
}

TEST_CASE("a malformed message ends the link", "[control]") {
  Harness harness;
  std::vector<std::byte> bytes = ControlBytes(MessageType::kGoodbye);
  SECTION("empty") { bytes.clear(); }
  SECTION("half a header") { bytes.resize(11); }
  SECTION("wrong magic") { bytes[0] ^= std::byte{1}; }
  SECTION("a length that is too long") { bytes[8] = std::byte{1}; }
  SECTION("a length that is too short") { bytes.push_back(std::byte{0}); }
  SECTION("the largest length") { std::memset(bytes.data() + 8, 0xff, 4); }
  REQUIRE(harness.channel.Deliver(bytes));
  CHECK_FALSE(harness.link.Receive());
  CHECK(harness.link.status().code() == absl::StatusCode::kDataLoss);
}

TEST_CASE("a lost channel ends the link with its reason", "[control]") {
  Harness harness;
  harness.channel.Break();
  CHECK_FALSE(harness.link.Receive());
  CHECK(harness.link.status().code() == absl::StatusCode::kUnavailable);
  CHECK(harness.link.status().message().find("the test broke the channel") != std::string::npos);
  harness.link.Send(MessageType::kGoodbye);
  CHECK_FALSE(harness.link.Receive());
}

TEST_CASE("what the peer said before it hung up is heard, though requests behind were lost", "[control]") {
  Harness harness;
  // Its completion may be polled first, whatever the order in which they happened.
  harness.link.Send(MessageType::kGoodbye);
  harness.channel.CompleteWith(CompletionStatus::kFlushed);
  Harness peer;
  peer.link.SendFailure(absl::FailedPreconditionError("another rail"));
  peer.link.Send(MessageType::kGoodbye);
  for (const ScriptedChannel::Posted& message : peer.channel.TakePosted()) {
    REQUIRE(harness.channel.Deliver(message.bytes));
  }
  harness.channel.Break();
  for (const MessageType type : {MessageType::kFailure, MessageType::kGoodbye}) {
    harness.link.Send(MessageType::kGoodbye);
    const auto message = harness.link.Receive();
    REQUIRE(message);
    CHECK(message->type == type);
    CHECK(harness.link.status().ok());
  }
  CHECK_FALSE(harness.link.Receive());
  CHECK(harness.link.status().code() == absl::StatusCode::kUnavailable);
  CHECK_FALSE(harness.link.flushed());
}

TEST_CASE("runs are decoded whole or not at all", "[control]") {
  const std::vector<std::byte> bytes(3 * sizeof(WireRun), std::byte{0xff});
  CHECK(DecodeRuns({})->empty());
  REQUIRE(DecodeRuns(bytes));
  CHECK(DecodeRuns(bytes)->size() == 3);
  for (std::size_t cut = 1; cut < sizeof(WireRun); ++cut) CHECK_FALSE(DecodeRuns(std::span(bytes).first(cut)));
}

TEST_CASE("a failure keeps its code and its reason", "[control]") {
  Harness harness;
  harness.link.SendFailure(absl::ResourceExhaustedError("no memory"));
  const std::vector<SentMessage> sent = TakeMessages(harness.channel);
  REQUIRE(sent.size() == 1);
  const absl::Status status = DecodeFailure(sent[0].payload);
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(status.message() == "the peer says: no memory");
  harness.link.SendFailure(absl::InternalError(std::string(100000, 'x')));
  CHECK(harness.channel.TakePosted().size() == 1);
}

TEST_CASE("a failure that makes no sense is a failure still, and its text can be shown", "[control]") {
  CHECK(DecodeFailure({}).code() == absl::StatusCode::kUnknown);
  for (const std::uint32_t code : {0u, 17u, 0xffffffffu}) {
    std::vector<std::byte> payload(4);
    std::memcpy(payload.data(), &code, 4);
    CHECK(DecodeFailure(payload).code() == absl::StatusCode::kUnknown);
  }
  const std::string payload = std::string("\x05\0\0\0", 4) + "red \x1b[31m\n\x7f\xff" + std::string(5000, 'x');
  const absl::Status status = DecodeFailure(std::as_bytes(std::span(payload)));
  CHECK(status.code() == absl::StatusCode::kNotFound);
  for (const char c : status.message()) CHECK((c >= ' ' && c <= '~'));
  CHECK(status.message().size() < 1100);
}

}  // namespace
}  // namespace farfault
