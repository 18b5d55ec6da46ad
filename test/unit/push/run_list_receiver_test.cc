#include "lib/push/run_list_receiver.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <memory>
#include <vector>

#include "lib/page/claim.h"
#include "test/support/fake_placement.h"
#include "test/support/run_list_message.h"
#include "test/support/scripted_channel.h"

namespace farfault {
namespace {

struct Harness {
  explicit Harness(std::size_t channel_count = 1, bool direct = true, std::uint32_t send_slots = 256)
      : layout({{{0, 50}, 64}, {{50, 10}, 64}}), placement(layout, {.direct = {direct, true}}) {
    const SourceTableLayout table_layout{layout.total_pages()};
    tables.resize((table_layout.total_bytes() + 7) / 8);
    source.tables = {reinterpret_cast<std::uint64_t>(tables.data()), tables.size() * 8, 5};
    buffers.resize(RunListReceiver::BufferBytes(channel_count));
    RunListReceiver::Resources resources;
    for (std::size_t i = 0; i < channel_count; ++i) {
      channels.push_back(std::make_unique<ScriptedChannel>(send_slots));
      resources.channels.push_back(channels.back().get());
      if (direct) continue;
      rings.emplace_back(640);
    }
    for (const auto& ring : rings) resources.staging.emplace_back(ring);
    resources.buffers = buffers;
    receiver = std::make_unique<RunListReceiver>(layout, source, placement, std::move(resources));
  }

  bool Deliver(std::uint64_t number, const std::vector<PageRun>& runs, std::size_t channel = 0) {
    return channels[channel]->Deliver(RunListMessage(number, runs));
  }
  std::uint64_t credit(std::size_t channel) const {
    return tables[SourceTableLayout{layout.total_pages()}.credit_offset() / 8 + channel];
  }
  void TakeAll() {
    while (receiver->Next()) receiver->Advance(receiver->current().run.count);
  }

  PageLayout layout;
  FakePlacement placement;
  SourcePeer source;
  std::vector<std::uint64_t> tables;
  std::vector<std::byte> buffers;
  std::vector<std::vector<std::byte>> rings;
  std::vector<std::unique_ptr<ScriptedChannel>> channels;
  std::unique_ptr<RunListReceiver> receiver;
};

TEST_CASE("run lists are handed out run by run and then done", "[push][receiver]") {
  Harness harness;
  REQUIRE(harness.receiver->Start());
  CHECK(harness.channels[0]->receives_posted() == RunListReceiver::kReceivesPerChannel);
  CHECK_FALSE(harness.receiver->Next());
  REQUIRE(harness.channels[0]->Deliver(RunListMessage(1, {{3, 4}, {50, 10}}, RunListHeader::kPrePaged)));
  REQUIRE(harness.receiver->Next());
  CHECK(harness.receiver->current().run == PageRun{3, 4});
  CHECK(harness.receiver->current().prepaged);
  CHECK(harness.receiver->current().staged == nullptr);
  harness.receiver->Advance(1);
  REQUIRE(harness.receiver->Next());
  CHECK(harness.receiver->current().run == PageRun{4, 3});
  harness.receiver->Advance(3);
  CHECK(harness.receiver->lists_done(0) == 0);
  REQUIRE(harness.receiver->Next());
  CHECK(harness.receiver->current().run == PageRun{50, 10});
  harness.receiver->Advance(10);
  CHECK(harness.receiver->lists_done(0) == 1);
  CHECK_FALSE(harness.receiver->Next());
  CHECK_FALSE(harness.receiver->broken());
  CHECK(harness.channels[0]->receives_posted() == RunListReceiver::kReceivesPerChannel);
  CHECK(harness.channels[0]->posted().empty());  // Nothing is staged: no credit.
}

TEST_CASE("nothing is handed out behind a run that makes no sense", "[push][receiver]") {
  Harness harness;
  REQUIRE(harness.receiver->Start());
  REQUIRE(harness.channels[0]->Deliver(RunListMessage(1, {{60, 4}, {3, 4}})));
  REQUIRE(harness.channels[0]->Deliver(RunListMessage(2, {{8, 4}})));
  for (int i = 0; i < 4; ++i) CHECK_FALSE(harness.receiver->Next());
  CHECK(absl::IsDataLoss(harness.receiver->failure()));
}

TEST_CASE("channels take turns, and each counts its own lists", "[push][receiver]") {
  Harness harness(3);
  REQUIRE(harness.receiver->Start());
  for (std::uint64_t number = 1; number <= 2; ++number) {
    for (std::size_t channel = 0; channel < 3; ++channel) REQUIRE(harness.Deliver(number, {{channel, 1}}, channel));
  }
  std::vector<PageIndex> order;
  while (harness.receiver->Next()) {
    order.push_back(harness.receiver->current().run.first);
    harness.receiver->Advance(1);
  }
  CHECK(order == std::vector<PageIndex>{0, 1, 2, 0, 1, 2});
  for (std::size_t channel = 0; channel < 3; ++channel) CHECK(harness.receiver->lists_done(channel) == 2);
}

TEST_CASE("a run list that makes no sense breaks the receiver", "[push][receiver]") {
  Harness harness;
  REQUIRE(harness.receiver->Start());
  std::vector<std::byte> message = RunListMessage(1, {{3, 4}});
  const auto set = [&message](std::size_t offset, auto value) {
    std::memcpy(message.data() + offset, &value, sizeof(value));
  };
  SECTION("empty") { message.clear(); }
  SECTION("half a header") { message.resize(23); }
  SECTION("wrong magic") { set(0, std::uint32_t{1}); }
  SECTION("a number out of order") { set(8, std::uint64_t{2}); }
  SECTION("number zero") { set(8, std::uint64_t{0}); }
  SECTION("no runs") {
    message.resize(24);
    set(16, std::uint32_t{0});
  }
  SECTION("more runs than bytes") { set(16, std::uint32_t{2}); }
  SECTION("runs that overflow the length") { set(16, std::uint32_t{0x10000001}); }
  SECTION("trailing bytes") { message.push_back(std::byte{0}); }
  SECTION("more runs than a list holds") { set(16, std::uint32_t{kMaxRunsPerList + 1}); }
  SECTION("an empty run") { set(32, std::uint32_t{0}); }
  SECTION("a run behind the memory") { set(24, std::uint64_t{60}); }
  SECTION("a run that ends behind the memory") {
    set(24, std::uint64_t{59});
    set(32, std::uint32_t{2});
  }
  SECTION("a run that wraps around") { set(24, UINT64_MAX); }
  SECTION("a run over two regions") {
    set(24, std::uint64_t{49});
    set(32, std::uint32_t{2});
  }
  SECTION("a flag that nobody knows") { set(4, std::uint32_t{2}); }
  REQUIRE(harness.channels[0]->Deliver(message));
  CHECK_FALSE(harness.receiver->Next());
  CHECK(harness.receiver->broken());
  CHECK(absl::IsDataLoss(harness.receiver->failure()));
  CHECK_FALSE(harness.receiver->Next());
  CHECK(harness.receiver->lists_done(0) == 0);
}

TEST_CASE("staged runs are found where the source put them, and their room is given back", "[push][receiver]") {
  Harness harness(1, false);
  REQUIRE(harness.receiver->Start());
  REQUIRE(harness.Deliver(1, {{0, 3}, {50, 10}, {3, 2}}));
  REQUIRE(harness.receiver->Next());
  CHECK(harness.receiver->current().staged == harness.rings[0].data());
  harness.receiver->Advance(2);
  REQUIRE(harness.receiver->Next());
  CHECK(harness.receiver->current().staged == harness.rings[0].data() + 128);
  harness.receiver->Advance(1);
  REQUIRE(harness.receiver->Next());
  CHECK(harness.receiver->current().staged == nullptr);  // The other region is direct.
  harness.receiver->Advance(10);
  REQUIRE(harness.receiver->Next());
  CHECK(harness.receiver->current().staged == harness.rings[0].data() + 192);
  CHECK(harness.channels[0]->posted().empty());
  harness.receiver->Advance(2);
  harness.channels[0]->Complete();
  CHECK(harness.credit(0) == 320);
  REQUIRE(harness.Deliver(2, {{5, 6}}));  // 384 bytes do not fit into the 320 that are left.
  REQUIRE(harness.receiver->Next());
  CHECK(harness.receiver->current().staged == harness.rings[0].data());
  harness.receiver->Advance(6);
  harness.channels[0]->Complete();
  CHECK(harness.credit(0) == 640 + 384);
}

TEST_CASE("a staged run that is larger than the ring breaks the receiver", "[push][receiver]") {
  Harness harness(1, false);
  REQUIRE(harness.receiver->Start());
  REQUIRE(harness.Deliver(1, {{0, 11}}));
  CHECK_FALSE(harness.receiver->Next());
  CHECK(harness.receiver->broken());
}

TEST_CASE("credit is signalled now and then, so that the send queue never fills up", "[push][receiver]") {
  Harness harness(1, false, 32);
  REQUIRE(harness.receiver->Start());
  for (std::uint64_t number = 1; number <= 200; ++number) {
    REQUIRE(harness.Deliver(number, {{0, 1}}));
    harness.TakeAll();
    harness.channels[0]->Complete();
    CHECK(harness.credit(0) == number * 64);
  }
  CHECK_FALSE(harness.receiver->broken());
}

// The source waits for the credit, so no run list will come, and nothing else wakes the destination once the
// completion that made room has been taken.
TEST_CASE("credit that found the channel full is given back as soon as a completion makes room", "[push][receiver]") {
  Harness harness(1, false, 16);
  REQUIRE(harness.receiver->Start());
  for (std::uint64_t number = 1; number <= 17; ++number) {
    REQUIRE(harness.Deliver(number, {{0, 1}}));
    harness.TakeAll();
  }
  REQUIRE(harness.channels[0]->posted().size() == 16);
  CHECK_FALSE(harness.receiver->Next());
  harness.channels[0]->Complete();
  CHECK(harness.credit(0) == 16ul * 64);
  CHECK_FALSE(harness.receiver->Next());  // One round, and then the thread may sleep.
  harness.channels[0]->Complete();
  CHECK(harness.credit(0) == 17ul * 64);
}

TEST_CASE("a broken push channel breaks the receiver", "[push][receiver]") {
  Harness harness(2, false);
  SECTION("before the start") {
    harness.channels[1]->Break();
    CHECK_FALSE(harness.receiver->Start());
  }
  SECTION("while it waits") {
    REQUIRE(harness.receiver->Start());
    harness.channels[1]->Break();
    harness.receiver->Next();
    harness.receiver->Next();
  }
  SECTION("when credit is given back") {
    REQUIRE(harness.receiver->Start());
    REQUIRE(harness.Deliver(1, {{0, 1}}));
    REQUIRE(harness.receiver->Next());
    harness.channels[0]->AnswerPostsWith(PostResult::kBroken);
    harness.receiver->Advance(1);
  }
  CHECK(harness.receiver->broken());
}

}  // namespace
}  // namespace farfault
