#include "lib/session/handshake.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>
#include <random>

#include "lib/util/status_text.h"
#include "test/support/destination_harness.h"
#include "test/support/scripted_channel.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

std::string Text(const absl::Status& status) { return std::string(StatusText(status)); }

HelloMessage Hello(Role role) {
  auto hello = MakeHello(role, 2, 3);
  REQUIRE(hello.ok());
  return *hello;
}

// Addresses are only compared here, never followed.
GuestMemory Memory(const std::vector<std::pair<std::string, std::uint64_t>>& regions,
                   std::uint64_t page_size = kSmallPage) {
  std::vector<Region> made;
  std::uint64_t address = std::uint64_t{1} << 40;
  for (const auto& [name, length] : regions) {
    Region region;
    region.name = name;
    region.base = reinterpret_cast<std::byte*>(address);
    region.length = length;
    region.page_size = page_size;
    made.push_back(region);
    address += std::uint64_t{1} << 32;
  }
  auto memory = GuestMemory::Create(made);
  REQUIRE(memory.ok());
  return *memory;
}

TEST_CASE("hellos carry a fresh nonce each") { CHECK(Hello(Role::kSource).nonce != Hello(Role::kSource).nonce); }

TEST_CASE("a hello of another version or of the same role is refused with the remedy") {
  HelloMessage hello = Hello(Role::kDestination);
  CHECK(CheckHello(Role::kSource, hello).ok());
  const absl::Status same_role = CheckHello(Role::kDestination, hello);
  CHECK(absl::IsFailedPrecondition(same_role));
  CHECK_THAT(Text(same_role), ContainsSubstring("both ends are a destination"));
  hello.version = kWireVersion + 1;
  const absl::Status version = CheckHello(Role::kSource, hello);
  CHECK(absl::IsFailedPrecondition(version));
  CHECK_THAT(Text(version), ContainsSubstring("install the same release"));
}

TEST_CASE("both ends must have as many rails") {
  const auto hello = [](std::size_t rails) {
    auto made = MakeHello(Role::kSource, 1, 1, rails);
    REQUIRE(made.ok());
    return *made;
  };
  CHECK(CheckRails(hello(1), hello(1)).ok());
  CHECK(CheckRails(hello(3), hello(3)).ok());
  const absl::Status fewer = CheckRails(hello(2), hello(1));
  CHECK(absl::IsFailedPrecondition(fewer));
  CHECK_THAT(Text(fewer), ContainsSubstring("this end has 2 rails and the peer 1: give both ends as many"));
  CHECK_THAT(Text(CheckRails(hello(1), hello(4))), ContainsSubstring("this end has 1 rail and the peer 4"));
  HelloMessage silent = hello(1);
  silent.rails = 0;
  CHECK(CheckRails(hello(1), silent).ok());
  CHECK(CheckRails(silent, hello(1)).ok());
  CHECK_FALSE(CheckRails(hello(2), silent).ok());
}

TEST_CASE("channel counts of a hello are bounded") {
  for (const int count : {0, 9, 255}) {
    HelloMessage hello = Hello(Role::kDestination);
    hello.demand_channels = static_cast<std::uint8_t>(count);
    CHECK(absl::IsDataLoss(CheckHello(Role::kSource, hello)));
    hello = Hello(Role::kDestination);
    hello.push_channels = static_cast<std::uint8_t>(count);
    CHECK(absl::IsDataLoss(CheckHello(Role::kSource, hello)));
  }
  HelloMessage hello = Hello(Role::kDestination);
  hello.role = 7;
  CHECK(absl::IsDataLoss(CheckHello(Role::kSource, hello)));
}

TEST_CASE("a proof holds for one key, one role and one pair of hellos") {
  const HelloMessage source = Hello(Role::kSource);
  const HelloMessage destination = Hello(Role::kDestination);
  const ProofMessage proof = MakeProof("key", Role::kSource, source, destination);
  CHECK(SameProof(proof, MakeProof("key", Role::kSource, source, destination)));
  CHECK_FALSE(SameProof(proof, MakeProof("kez", Role::kSource, source, destination)));
  CHECK_FALSE(SameProof(proof, MakeProof("", Role::kSource, source, destination)));
  // Reflected: what one side sent must not pass for what it expects.
  CHECK_FALSE(SameProof(proof, MakeProof("key", Role::kDestination, source, destination)));
  // Replayed: other nonces, or other channel counts with the same nonces.
  CHECK_FALSE(SameProof(proof, MakeProof("key", Role::kSource, Hello(Role::kSource), destination)));
  HelloMessage altered = destination;
  altered.push_channels = 1;
  CHECK_FALSE(SameProof(proof, MakeProof("key", Role::kSource, source, altered)));
  CHECK(MakeToken("key", source, destination) != proof.mac);
}

TEST_CASE("tickets survive the trip in private data, and nothing else is one") {
  ChannelTicket ticket;
  ticket.kind = ChannelKind::kPush;
  ticket.index = 5;
  ticket.token[31] = 9;
  const auto decoded = DecodeTicket(EncodeTicket(ticket));
  REQUIRE(decoded.has_value());
  CHECK(decoded->kind == ChannelKind::kPush);
  CHECK(decoded->index == 5);
  CHECK(decoded->token == ticket.token);
  CHECK_FALSE(DecodeTicket(PrivateData{}).has_value());
}

TEST_CASE("regions survive the trip and are compared name by name") {
  const GuestMemory source = Memory({{"low", 8 * kSmallPage}, {"high", 4 * kSmallPage}});
  auto regions = DecodeRegions(EncodeRegions(source));
  REQUIRE(regions.ok());
  REQUIRE(regions->size() == 2);
  CHECK((*regions)[1].name == "high");
  CHECK(CompareRegions(*regions, source).ok());

  const auto difference = [&](const GuestMemory& destination) {
    const absl::Status status = CompareRegions(*regions, destination);
    CHECK(absl::IsFailedPrecondition(status));
    return Text(status);
  };
  CHECK_THAT(difference(Memory({{"low", 8 * kSmallPage}})), ContainsSubstring("2 regions and the destination 1"));
  CHECK_THAT(difference(Memory({{"high", 4 * kSmallPage}, {"low", 8 * kSmallPage}})), ContainsSubstring("same order"));
  CHECK_THAT(difference(Memory({{"low", 8 * kSmallPage}, {"high", 5 * kSmallPage}})),
             ContainsSubstring("'high'") && ContainsSubstring("16384") && ContainsSubstring("20480"));

  const GuestMemory huge = Memory({{"low", kHugePage}}, kHugePage);
  auto small = DecodeRegions(EncodeRegions(Memory({{"low", kHugePage}})));
  REQUIRE(small.ok());
  const absl::Status page_size = CompareRegions(*small, huge);
  CHECK(absl::IsFailedPrecondition(page_size));
  CHECK_THAT(Text(page_size), ContainsSubstring("pages of 4096 bytes") && ContainsSubstring("2097152"));
}

TEST_CASE("malformed region lists are refused") {
  const auto mutate = [](auto change) {
    WireRegion region{.length = kSmallPage, .page_size = kSmallPage, .name = {'r'}};
    change(region);
    const auto bytes = std::as_bytes(std::span(&region, 1));
    return DecodeRegions(bytes).status();
  };
  CHECK(mutate([](WireRegion&) {}).ok());
  CHECK(absl::IsDataLoss(mutate([](WireRegion& region) { region.length = 0; })));
  CHECK(absl::IsDataLoss(mutate([](WireRegion& region) { region.length = kSmallPage + 1; })));
  CHECK(absl::IsDataLoss(mutate([](WireRegion& region) { region.length = ~std::uint64_t{0} << 12; })));
  CHECK(absl::IsDataLoss(mutate([](WireRegion& region) { region.page_size = 0; })));
  CHECK(absl::IsDataLoss(mutate([](WireRegion& region) { region.name.fill('x'); })));
  CHECK(absl::IsDataLoss(mutate([](WireRegion& region) { region.name.fill('\0'); })));
  CHECK(absl::IsDataLoss(DecodeRegions({}).status()));
}

PageLayout TwoRegions() { return PageLayout({{{0, 8}, kSmallPage}, {{8, 4}, kHugePage}}); }

std::vector<std::byte> Bytes(const std::vector<WireExtent>& extents) {
  const auto bytes = std::as_bytes(std::span(extents));
  return {bytes.begin(), bytes.end()};
}

TEST_CASE("pages and keys survive the trip, in as many messages as it takes") {
  constexpr std::uint64_t kPages = 2 * kMaxExtentsPerMessage + 1;
  const PageLayout layout({{{0, kPages}, kSmallPage}});
  ScriptedChannel channel;
  std::vector<std::byte> buffers(ControlLink::kBufferBytes);
  ControlLink link(channel, buffers, 1);
  std::vector<Extent> sent;
  for (PageIndex page = 0; page < kPages; ++page) {
    sent.push_back({{page, 1}, 0x1000 * page, static_cast<std::uint32_t>(page + 1)});
  }
  SendExtents(link, sent);
  const std::vector<SentMessage> messages = TakeMessages(channel);
  REQUIRE(messages.size() == 3);
  ExtentTable table(layout);
  for (const SentMessage& message : messages) {
    CHECK(message.type == MessageType::kExtents);
    REQUIRE(AddExtents(message.payload, table).ok());
  }
  CHECK(table.complete());
  CHECK(table.Of(777).key == 778);
  CHECK(table.Of(777).address == std::uint64_t{0x1000} * 777);
  SendExtents(link, {});
  CHECK(TakeMessages(channel).empty());
}

TEST_CASE("pages and keys that make no sense are refused") {
  const auto refused = [](const std::vector<WireExtent>& extents) {
    ExtentTable table(TwoRegions());
    return absl::IsDataLoss(AddExtents(Bytes(extents), table));
  };
  CHECK_FALSE(refused({{0, 8, 0x1000, 1, 0}, {8, 4, 0x1000, 1, 0}}));
  CHECK(refused({}));
  CHECK(refused({{0, 0, 0x1000, 1, 0}}));
  CHECK(refused({{7, 2, 0x1000, 1, 0}}));   // Two regions.
  CHECK(refused({{11, 2, 0x1000, 1, 0}}));  // Behind the end.
  CHECK(refused({{~std::uint64_t{0}, 2, 0x1000, 1, 0}}));
  CHECK(refused({{1, ~std::uint64_t{0}, 0x1000, 1, 0}}));
  CHECK(refused({{0, 2, 0x1000, 1, 0}, {1, 1, 0x5000, 2, 0}}));   // Page 1 twice.
  CHECK(refused({{8, 4, ~std::uint64_t{0} - kHugePage, 1, 0}}));  // Addresses go past the end.
  std::vector<std::byte> cut = Bytes({{0, 8, 0x1000, 1, 0}});
  cut.pop_back();
  ExtentTable table(TwoRegions());
  CHECK(absl::IsDataLoss(AddExtents(cut, table)));
}

TEST_CASE("tables and rings survive the trip, with counts and lengths checked") {
  const PageLayout layout = TwoRegions();
  RemoteMemory tables{3000, SourceTableLayout{layout.total_pages()}.total_bytes(), 9};
  const auto decoded = DecodeSourceTables(EncodeSourceTables(tables), layout);
  REQUIRE(decoded.ok());
  CHECK(decoded->address == 3000);
  CHECK(decoded->key == 9);
  tables.length -= 1;
  CHECK(absl::IsDataLoss(DecodeSourceTables(EncodeSourceTables(tables), layout).status()));

  ExtentTable frames(layout);
  REQUIRE(frames.Add({{0, 8}, 0x1000, 1}));
  std::vector<RemoteMemory> rings = {{20, kHugePage, 2}, {30, kHugePage, 3}};
  const auto both = DecodeStaging(EncodeStaging(rings), layout, frames, 2);
  REQUIRE(both.ok());
  CHECK((*both)[1].address == 30);
  CHECK((*both)[1].key == 3);
  CHECK_FALSE(DecodeStaging(EncodeStaging(rings), layout, frames, 1).ok());
  CHECK_FALSE(DecodeStaging({}, layout, frames, 2).ok());
  rings[0].length = 1u << 20;  // Less than the page that is staged.
  CHECK_FALSE(DecodeStaging(EncodeStaging(rings), layout, frames, 2).ok());
  REQUIRE(frames.Add({{8, 4}, 0x100000, 1}));
  CHECK(DecodeStaging({}, layout, frames, 2).ok());
  CHECK_FALSE(DecodeStaging(EncodeStaging(rings), layout, frames, 2).ok());
}

TEST_CASE("random bytes never pass as addresses and never crash the decoders") {
  const PageLayout layout({{{0, 8}, kSmallPage}});
  const ExtentTable staged(layout);
  std::mt19937_64 random(42);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes(random() % 200);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    CHECK_FALSE(DecodeRegions(bytes).ok());
    CHECK_FALSE(DecodeSourceTables(bytes, layout).ok());
    ExtentTable table(layout);
    CHECK_FALSE(AddExtents(bytes, table).ok());
    // A ring: any address and any key will do.
    const bool shaped_well = bytes.size() == sizeof(WireMemory);
    CHECK((shaped_well || !DecodeStaging(bytes, layout, staged, 1).ok()));
  }
}

}  // namespace
}  // namespace farfault
