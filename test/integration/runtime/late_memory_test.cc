#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <vector>

#include "absl/time/clock.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"

// Holes of the source's memory, and what gets data in them between the offer and the switchover. Over RDMA, where
// registering pins memory, they are not registered at first.
namespace farfault {
namespace {

constexpr std::uint64_t kImage = 16u << 20;
constexpr std::uint64_t kPages = kImage / kSmallPage;

std::vector<GuestImage::Spec> OneRegion(bool shared) { return {{.length = kImage, .shared = shared}}; }

std::byte* Page(GuestImage& image, PageIndex page) { return image.bytes().data() + page * kSmallPage; }

void Write(GuestImage& image, PageIndex page, int value) { std::memset(Page(image, page), value, kSmallPage); }

std::uint64_t PopulatedPages(GuestImage& image) {
  struct stat about{};
  REQUIRE(fstat(image.memory().regions()[0].fd, &about) == 0);
  return static_cast<std::uint64_t>(about.st_blocks) * 512 / kSmallPage;
}

SourceOptions Pushing(bool push) {
  SourceOptions options;
  options.push.enabled = push;
  return options;
}

DestinationOptions SmallPages() {
  DestinationOptions options;
  options.collapse_huge_pages = false;
  return options;
}

TEST_CASE("holes stay unpopulated at both ends until somebody touches them", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  for (PageIndex page = 0; page < 1024; page += 2) Write(source, page, 7);
  for (PageIndex page = 2048; page < 3072; ++page) Write(source, page, 8);
  const std::uint64_t populated = PopulatedPages(source);
  REQUIRE(populated == 512 + 1024);
  const SessionPair pair = MakePair(source, Pushing(true), destination, SmallPages());
  CHECK(PopulatedPages(source) == populated);
  // Over tcp only large holes are told before the switchover.
  CHECK(PopulatedPages(destination) <= (OverVerbs() ? populated : 1024 + 1024));
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  REQUIRE(pair.source->WaitUntilDrained(absl::Seconds(60)).ok());
  CHECK(PopulatedPages(source) == populated);
  CHECK(PopulatedPages(destination) == populated);
  CHECK(pair.destination->Stats().hole_pages == kPages - populated);
  CHECK(destination.FirstDifference(source).empty());
}

TEST_CASE("what gets data after the offer moves like the rest", "[fabrics]") {
  RequireUserfaultfd();
  const bool shared = GENERATE(true, false);
  const bool push = GENERATE(true, false);
  CAPTURE(shared, push);
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  for (PageIndex page = 0; page < 512; ++page) Write(source, page, 1);
  const SessionPair pair = MakePair(source, Pushing(push), destination, {});
  for (PageIndex page = 1000; page < 1500; page += 3) Write(source, page, 2);
  absl::SleepFor(absl::Milliseconds(500));                                  // Some of it is found while the guest runs,
  for (PageIndex page = 2000; page < 2300; ++page) Write(source, page, 3);  // and some after it has stopped.
  Write(source, kPages - 1, 4);
  pair.SwitchOver();
  CHECK(*Page(destination, 1003) == std::byte{2});
  CHECK(*Page(destination, 1004) == std::byte{0});
  CHECK(*Page(destination, 2100) == std::byte{3});
  CHECK(*Page(destination, kPages - 1) == std::byte{4});
  if (!push) REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  Write(destination, 1004, 9);  // A hole is ordinary memory.
  CHECK(*Page(destination, 1004) == std::byte{9});
}

TEST_CASE("what gets data after the offer is pre-paged, and is stale when it is written again", "[fabrics]") {
  RequireDirtyTracking();
  const bool shared = GENERATE(true, false);
  CAPTURE(shared);
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  for (PageIndex page = 0; page < 512; ++page) Write(source, page, 1);
  const SessionPair pair = MakePair(source, Pushing(true), destination, {});
  for (PageIndex page = 1000; page < 1400; ++page) Write(source, page, 2);
  PrePageBudget budget;
  budget.bytes = 2 * kImage;
  budget.observe = absl::ZeroDuration();
  auto report = pair.source->PrePage(budget);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(report->pages_fresh >= 912);
  for (PageIndex page = 1000; page < 1100; ++page) Write(source, page, 3);
  for (PageIndex page = 3000; page < 3200; ++page) Write(source, page, 4);
  report = pair.source->PrePage(budget);
  REQUIRE(report.ok());
  for (PageIndex page = 1050; page < 1060; ++page) Write(source, page, 5);
  for (PageIndex page = 3100; page < 3300; ++page) Write(source, page, 6);
  pair.SwitchOver();
  CHECK(*Page(destination, 1055) == std::byte{5});
  CHECK(*Page(destination, 1061) == std::byte{3});
  CHECK(*Page(destination, 3099) == std::byte{4});
  CHECK(*Page(destination, 3299) == std::byte{6});
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  CHECK(pair.destination->Stats().pages_prepaged >= 912);
}

}  // namespace
}  // namespace farfault
