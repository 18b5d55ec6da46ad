#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "farfault/farfault.h"
#include "test/integration/runtime/rails_heard.h"
#include "test/integration/runtime/whole_sessions.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"
#include "test/support/two_rails.h"
#include "test/support/verbs_ends.h"

// Sessions that several rails carry, over tcp anywhere and over two RDMA devices in a machine of ./dev vm.
namespace farfault {
namespace {

std::uint64_t Read(const SessionStats& stats) {
  std::uint64_t bytes = 0;
  for (const RailStats& rail : stats.rails) bytes += rail.bytes_read;
  return bytes;
}

std::uint64_t Written(const SessionStats& stats) {
  std::uint64_t bytes = 0;
  for (const RailStats& rail : stats.rails) bytes += rail.bytes_written;
  return bytes;
}

TEST_CASE("two rails share what is pushed and what is fetched on demand", "[fabrics][serial]") {
  RequireUserfaultfd();
  const bool shared = GENERATE(true, false);
  TwoRails rails;
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  source.Fill(31);
  Heard heard;
  const SessionPair pair = MakePair(source, Pushing(true), destination, Told(heard), rails.listen());
  CHECK(Mentions(heard.Get(&Heard::path), "2 rails ("));
  CHECK(Mentions(heard.Get(&Heard::path), rails.second_path()));
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 4) == 0);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  REQUIRE(pair.source->WaitUntilDrained(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  const SessionStats at_source = pair.source->Stats();
  const SessionStats at_destination = pair.destination->Stats();
  CheckBooks(at_destination);
  REQUIRE(at_source.rails.size() == 2);
  REQUIRE(at_destination.rails.size() == 2);
  CHECK(Written(at_source) == at_source.bytes_sent);
  CHECK(Read(at_source) == 0);
  CHECK(Read(at_destination) >= at_destination.pages_demanded * kSmallPage);
  CHECK(at_source.rails[0].bytes_written > 0);
  CHECK(at_source.rails[1].bytes_written > 0);
  CHECK(Mentions(at_destination.rails[1].path, rails.second_path()));
}

TEST_CASE("demand reads take turns on the rails", "[fabrics][serial]") {
  RequireUserfaultfd();
  TwoRails rails;
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(32);
  DestinationOptions options;
  options.demand_channels = GENERATE(1u, 2u, 3u);
  const SessionPair pair = MakePair(source, Pushing(false), destination, std::move(options), rails.listen());
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 1) == 0);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  const SessionStats stats = pair.destination->Stats();
  CHECK(stats.pages_demanded == kPages);
  CHECK(Read(stats) == kImage);
  // However many channels the user asks for there is one on each rail, and here no more.
  CHECK(stats.rails[0].bytes_read == kImage / 2);
  CHECK(stats.rails[1].bytes_read == kImage / 2);
}

TEST_CASE("pages that are sent before the switchover go over both rails, and what is written again comes again",
          "[fabrics][serial]") {
  RequireDirtyTracking();
  TwoRails rails;
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(33);
  SourceOptions options = Pushing(true);
  options.push_channels = 2;
  DestinationOptions taking;
  taking.push_channels = 2;
  const SessionPair pair = MakePair(source, std::move(options), destination, std::move(taking), rails.listen());
  const auto report = pair.source->PrePage(Everything());
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(pair.source->Stats().rails[0].bytes_written > 0);
  CHECK(pair.source->Stats().rails[1].bytes_written > 0);
  for (std::size_t page = 0; page < kPages; page += 7) source.bytes()[page * kSmallPage + 5] ^= std::byte{0x55};
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 2) == 0);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
}

TEST_CASE("what gets data in a hole after the rails have been agreed on arrives", "[fabrics][serial]") {
  RequireUserfaultfd();
  TwoRails rails;
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  for (std::size_t page = 0; page < kPages / 4; ++page) source.bytes()[page * kSmallPage] = std::byte{1};
  const SessionPair pair = MakePair(source, Pushing(GENERATE(true, false)), destination, {}, rails.listen());
  for (std::size_t page = kPages / 2; page < kPages; page += 3) source.bytes()[page * kSmallPage] = std::byte{2};
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 2) == 0);
  CHECK(destination.bytes()[kPages / 2 * kSmallPage] == std::byte{2});
}

}  // namespace
}  // namespace farfault
