#include "lib/demand/demand_reader.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <memory>
#include <vector>

#include "test/support/fake_placement.h"
#include "test/support/fill.h"
#include "test/support/scripted_channel.h"

namespace farfault {
namespace {

struct Harness {
  explicit Harness(std::uint32_t slots = 4, std::size_t channel_count = 1, std::uint32_t send_slots = 256)
      : layout({{{0, 6}, 64}, {{6, 4}, 128}}), placement(layout, {.demand_slots = slots}) {
    words.resize((SourceTableLayout{10}.total_bytes() + 7) / 8);
    memory.resize(6 * 64 + 4 * 128);
    for (PageIndex page = 0; page < 10; ++page) FillPattern(Page(page), page);
    source.memory = ExtentTable(layout);
    source.memory.Add({{0, 6}, Address(memory.data()), 31});
    source.memory.Add({{6, 2}, Address(memory.data() + 6ul * 64), 32});
    source.memory.Add({{8, 2}, Address(memory.data() + 6ul * 64 + 2ul * 128), 34});
    source.tables = {Address(words.data()), words.size() * 8, 33};
    scratch.resize(slots * DemandReader::kScratchBytes);
    std::vector<Channel*> raw;
    for (std::size_t i = 0; i < channel_count; ++i) {
      channels.push_back(std::make_unique<ScriptedChannel>(send_slots));
      raw.push_back(channels.back().get());
    }
    reader = std::make_unique<DemandReader>(layout, source, raw, placement, DemandReader::Scratch{scratch, 41}, slots);
  }

  static std::uint64_t Address(const void* memory) { return reinterpret_cast<std::uint64_t>(memory); }
  std::span<std::byte> Page(PageIndex page) {
    return page < 6 ? std::span(memory).subspan(page * 64, 64)
                    : std::span(memory).subspan(6ul * 64 + (page - 6) * 128, 128);
  }
  std::byte* tables() { return reinterpret_cast<std::byte*>(words.data()); }
  void SetClaim(PageIndex page, Claim claim) {
    tables()[SourceTableLayout{10}.claim_offset() + page] = static_cast<std::byte>(claim);
  }
  std::vector<DemandedPage> Poll() {
    std::array<DemandedPage, 16> pages;
    const std::size_t count = reader->Poll(pages);
    return {pages.begin(), pages.begin() + static_cast<std::ptrdiff_t>(count)};
  }

  PageLayout layout;
  FakePlacement placement;
  SourcePeer source;
  std::vector<std::uint64_t> words;
  std::vector<std::byte> memory;
  std::vector<std::byte> scratch;
  std::vector<std::unique_ptr<ScriptedChannel>> channels;
  std::unique_ptr<DemandReader> reader;
};

TEST_CASE("a page is asked for by one chain in the order of the claim protocol", "[demand]") {
  Harness harness;
  REQUIRE(harness.reader->Read(7, {.hint = true}) == PostResult::kOk);
  const std::vector<ScriptedChannel::Posted> posted = harness.channels[0]->posted();
  REQUIRE(posted.size() == DemandReader::kRequestsPerPage);
  const SourceTableLayout tables{10};
  const std::uint64_t base = harness.source.tables.address;

  CHECK(posted[0].request.opcode == Opcode::kWrite);
  CHECK(posted[0].request.remote_address == base + tables.want_offset() + 7);
  CHECK(posted[0].bytes == std::vector<std::byte>{std::byte{1}});
  CHECK(posted[0].request.remote_key == 33);

  CHECK(posted[1].request.opcode == Opcode::kWrite);
  CHECK(posted[1].request.remote_address == base + tables.hint_offset() + 8);
  std::uint64_t hint = 0;
  std::memcpy(&hint, posted[1].bytes.data(), 8);
  CHECK(hint == Hint::Encode(7, 1));

  CHECK(posted[2].request.opcode == Opcode::kRead);
  CHECK(posted[2].request.remote_address == base + tables.claim_offset() + 7);
  CHECK(posted[2].request.length == 1);
  CHECK(posted[2].request.local_key == 41);

  CHECK(posted[3].request.opcode == Opcode::kRead);
  CHECK(posted[3].request.remote_address == harness.Address(harness.memory.data()) + 6ul * 64 + 128);
  CHECK(posted[3].request.remote_key == 32);
  CHECK(posted[3].request.length == 128);
  CHECK(posted[3].request.local == harness.placement.frames(1).data() + 128);

  for (std::size_t i = 0; i < posted.size(); ++i) {
    CHECK(posted[i].chain == 0);
    CHECK(posted[i].request.signaled == (i == 3));
    CHECK(posted[i].request.inline_data == (i < 2));
  }
}

TEST_CASE("without a hint the chain is the other three, and hints are numbered without gaps", "[demand]") {
  Harness harness;
  REQUIRE(harness.reader->Read(1, {.hint = true}) == PostResult::kOk);
  REQUIRE(harness.reader->Read(2, {}) == PostResult::kOk);
  REQUIRE(harness.reader->Read(3, {.hint = true}) == PostResult::kOk);
  CHECK(harness.channels[0]->posted().size() == 4 + 3 + 4);
  harness.channels[0]->Complete();
  std::array<std::uint64_t, 3> ring{};
  std::memcpy(ring.data(), harness.tables() + SourceTableLayout{10}.hint_offset(), sizeof(ring));
  CHECK(ring[0] == 0);
  CHECK(ring[1] == Hint::Encode(1, 1));
  CHECK(ring[2] == Hint::Encode(3, 2));
}

TEST_CASE("where nothing is pushed the page's READ goes alone, and its claim is nobody's", "[demand]") {
  Harness harness;
  harness.SetClaim(7, Claim::kClaiming);
  REQUIRE(harness.reader->Read(7, {.alone = true}) == PostResult::kOk);
  const std::vector<ScriptedChannel::Posted> posted = harness.channels[0]->posted();
  REQUIRE(posted.size() == 1);
  CHECK(posted[0].request.opcode == Opcode::kRead);
  CHECK(posted[0].request.signaled);
  CHECK(posted[0].request.remote_address == harness.source.memory.AddressOf(harness.source.memory.Of(7), 7, 128));
  harness.channels[0]->Complete();
  const std::vector<DemandedPage> pages = harness.Poll();
  REQUIRE(pages.size() == 1);
  CHECK(pages[0].page == 7);
  CHECK(pages[0].claim == Claim::kFree);
  // The slot's next page has a claim again.
  harness.reader->Release(pages[0].slot);
  REQUIRE(harness.reader->Read(7, {}) == PostResult::kOk);
  harness.channels[0]->Complete();
  CHECK(harness.Poll().empty());
}

TEST_CASE("hints go around their ring", "[demand]") {
  Harness harness;
  for (std::uint64_t number = 1; number <= SourceTableLayout::kHintSlots + 3; ++number) {
    REQUIRE(harness.reader->Read(number % 10, {.hint = true}) == PostResult::kOk);
    harness.channels[0]->Complete();
    for (const DemandedPage& page : harness.Poll()) harness.reader->Release(page.slot);
  }
  std::uint64_t entry = 0;
  std::memcpy(&entry, harness.tables() + SourceTableLayout{10}.hint_offset() + 3ul * 8, 8);
  CHECK(Hint::Number(entry) == SourceTableLayout::kHintSlots + 3);
}

TEST_CASE("a page comes back with its claim and its bytes", "[demand]") {
  Harness harness;
  for (const Claim claim : {Claim::kFree, Claim::kYielded, Claim::kPosted}) {
    harness.SetClaim(8, claim);
    REQUIRE(harness.reader->Read(8, {.ahead = true}) == PostResult::kOk);
    CHECK(harness.Poll().empty());
    harness.channels[0]->Complete();
    const std::vector<DemandedPage> pages = harness.Poll();
    REQUIRE(pages.size() == 1);
    CHECK(pages[0].page == 8);
    CHECK(pages[0].claim == claim);
    CHECK(pages[0].ahead);
    CHECK(HasPattern(harness.placement.frames(1).subspan(2ul * 128, 128), 8));
    harness.reader->Release(pages[0].slot);
  }
  CHECK(harness.tables()[8] == std::byte{1});
}

TEST_CASE("a claim that is being made is read again until it is made", "[demand]") {
  Harness harness;
  harness.SetClaim(3, Claim::kClaiming);
  REQUIRE(harness.reader->Read(3, {}) == PostResult::kOk);
  harness.channels[0]->Complete();
  harness.channels[0]->TakePosted();
  CHECK(harness.Poll().empty());
  std::vector<ScriptedChannel::Posted> posted = harness.channels[0]->TakePosted();
  REQUIRE(posted.size() == 1);
  CHECK(posted[0].request.opcode == Opcode::kRead);
  CHECK(posted[0].request.length == 1);
  CHECK(posted[0].request.signaled);
  harness.channels[0]->Complete();
  CHECK(harness.Poll().empty());
  harness.SetClaim(3, Claim::kPosted);
  harness.channels[0]->Complete();
  const std::vector<DemandedPage> pages = harness.Poll();
  REQUIRE(pages.size() == 1);
  CHECK(pages[0].page == 3);
  CHECK(pages[0].claim == Claim::kPosted);
}

TEST_CASE("a claim whose re-read finds the channel full is read again later", "[demand]") {
  Harness harness;
  harness.SetClaim(3, Claim::kClaiming);
  REQUIRE(harness.reader->Read(3, {}) == PostResult::kOk);
  harness.channels[0]->Complete();
  harness.channels[0]->AnswerPostsWith(PostResult::kFull);
  CHECK(harness.Poll().empty());
  CHECK(harness.Poll().empty());
  harness.SetClaim(3, Claim::kFree);
  harness.channels[0]->AnswerPostsWith(PostResult::kOk);
  CHECK(harness.Poll().empty());
  harness.channels[0]->Complete();
  CHECK(harness.Poll().size() == 1);
  CHECK_FALSE(harness.reader->broken());
}

TEST_CASE("slots are taken by Read and given back by Release", "[demand]") {
  Harness harness(2);
  CHECK(harness.reader->free_slots() == 2);
  REQUIRE(harness.reader->Read(0, {}) == PostResult::kOk);
  REQUIRE(harness.reader->Read(1, {}) == PostResult::kOk);
  CHECK_FALSE(harness.reader->has_free_slot());
  CHECK(harness.reader->Read(2, {}) == PostResult::kFull);
  harness.channels[0]->Complete();
  const std::vector<DemandedPage> pages = harness.Poll();
  REQUIRE(pages.size() == 2);
  CHECK(pages[0].slot != pages[1].slot);
  CHECK(harness.reader->free_slots() == 0);  // The frames are in use until they are released.
  harness.reader->Release(pages[0].slot);
  CHECK(harness.reader->free_slots() == 1);
  CHECK(harness.reader->Read(2, {}) == PostResult::kOk);
  CHECK(harness.placement.violations().empty());
}

TEST_CASE("a full channel keeps no slot, and reads go to the channel that has room", "[demand]") {
  Harness harness(8, 2, 8);
  for (PageIndex page = 0; page < 4; ++page) REQUIRE(harness.reader->Read(page, {.hint = true}) == PostResult::kOk);
  CHECK(harness.channels[0]->posted().size() == 8);
  CHECK(harness.channels[1]->posted().size() == 8);
  CHECK(harness.reader->Read(4, {.hint = true}) == PostResult::kFull);
  CHECK(harness.reader->free_slots() == 4);
  harness.channels[1]->Complete();
  CHECK(harness.Poll().size() == 2);
  CHECK(harness.reader->Read(4, {.hint = true}) == PostResult::kOk);
  CHECK(harness.reader->Read(5, {.hint = true}) == PostResult::kOk);
  CHECK(harness.channels[1]->posted().size() == 16);
  std::uint64_t hint = 0;
  std::memcpy(&hint, harness.channels[1]->posted()[9].bytes.data(), 8);
  CHECK(Hint::Number(hint) == 5);  // The read that found no room used no number up.
}

TEST_CASE("a lost channel breaks the reader", "[demand]") {
  Harness harness;
  REQUIRE(harness.reader->Read(0, {}) == PostResult::kOk);
  SECTION("a failed request") { harness.channels[0]->CompleteWith(CompletionStatus::kError); }
  SECTION("a flushed request") { harness.channels[0]->Break(); }
  SECTION("a channel that takes nothing any more") {
    harness.channels[0]->AnswerPostsWith(PostResult::kBroken);
    CHECK(harness.reader->Read(1, {}) == PostResult::kBroken);
  }
  CHECK(harness.Poll().empty());
  CHECK(harness.reader->broken());
}

TEST_CASE("no more pages come back than there is room for", "[demand]") {
  Harness harness(8);
  for (PageIndex page = 0; page < 5; ++page) REQUIRE(harness.reader->Read(page, {}) == PostResult::kOk);
  harness.channels[0]->Complete();
  std::array<DemandedPage, 2> pages;
  CHECK(harness.reader->Poll(pages) == 2);
  CHECK(pages[0].page == 0);
  CHECK(pages[1].page == 1);
  CHECK(harness.reader->Poll(pages) == 2);
  CHECK(harness.reader->Poll(pages) == 1);
  CHECK(pages[0].page == 4);
}

}  // namespace
}  // namespace farfault
