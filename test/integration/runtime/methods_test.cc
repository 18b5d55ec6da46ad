#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "test/integration/runtime/whole_sessions.h"
#include "test/support/memory_machine.h"
#include "test/support/rdma.h"
#include "test/support/session_pair.h"
#include "test/support/skip.h"

// Whole sessions between two mappings of this process, over real userfaultfd: each method alone and in combination.
namespace farfault {
namespace {

TEST_CASE("demand paging moves nothing that is not touched, and everything that is", "[fabrics]") {
  RequireUserfaultfd();
  const bool shared = GENERATE(true, false);
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  source.Fill(1);
  const SessionPair pair = MakePair(source, Pushing(false), destination, {});
  pair.SwitchOver();
  CHECK(destination.bytes()[5 * kSmallPage] == source.bytes()[5 * kSmallPage]);
  CHECK(pair.destination->Stats().pages_demanded == 1);
  CHECK(TouchAll(destination, source, 4) == 0);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  REQUIRE(pair.source->WaitUntilDrained(absl::Seconds(60)).ok());
  const SessionStats stats = pair.destination->Stats();
  CHECK(stats.pages_demanded == kPages);
  CHECK(stats.duplicates == 0);
  CHECK(stats.bytes_received == kImage);
  CheckBooks(stats);
}

// How often the scheduler has put the source's thread on a CPU (Documentation/scheduler/sched-stats.rst).
std::uint64_t TimesRun() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    if (!(std::ifstream(task.path() / "comm") >> name) || name != "ff-source") continue;
    std::uint64_t ran = 0;
    std::uint64_t waited = 0;
    std::uint64_t times = 0;
    std::ifstream(task.path() / "schedstat") >> ran >> waited >> times;
    return times;
  }
  return 0;
}

TEST_CASE("without a push the source's thread sleeps while its pages are fetched", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(2);
  const SessionPair pair = MakePair(source, Pushing(false), destination, {});
  pair.SwitchOver();
  absl::SleepFor(absl::Milliseconds(300));
  const std::uint64_t before = TimesRun();
  if (before == 0) SKIP("this kernel does not say how often a thread has run");
  for (std::size_t page = 0; page < 500; ++page) {
    REQUIRE(destination.bytes()[page * kSmallPage] == source.bytes()[page * kSmallPage]);
  }
  absl::SleepFor(absl::Milliseconds(300));
  CHECK(TimesRun() == before);
  CHECK(pair.destination->Stats().pages_demanded == 500);
}

TEST_CASE("FetchRest makes a session without push resident", "[fabrics]") {
  RequireUserfaultfd();
  const bool shared = GENERATE(true, false);
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  source.Fill(2);
  DestinationOptions options;
  options.max_outstanding_faults = GENERATE(1u, 128u);
  const SessionPair pair = MakePair(source, Pushing(false), destination, std::move(options));
  pair.SwitchOver();
  REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  CHECK(pair.destination->Stats().pages_fetched == kPages);
  CheckBooks(pair.destination->Stats());
}

TEST_CASE("active push brings everything while the guest touches it", "[fabrics]") {
  RequireUserfaultfd();
  const bool shared = GENERATE(true, false);
  const auto* predictor = GENERATE("none", "sequential", "bubbling", "bubbling:pivots=1,direction=forward");
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  source.Fill(3);
  const SessionPair pair = MakePair(source, Pushing(true, predictor), destination, {});
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 3) == 0);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  REQUIRE(pair.source->WaitUntilDrained(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  const SessionStats stats = pair.destination->Stats();
  CHECK(stats.pages_demanded + stats.pages_pushed >= kPages);
  CHECK(stats.pages_demanded + stats.pages_pushed <= kPages + stats.duplicates);
  CheckBooks(stats);
  // Pages that were read as well may still be on their way when all is resident.
  CHECK(pair.source->Stats().pages_sent >= stats.pages_pushed);
}

TEST_CASE("memory that is taken before the source comes is what the guest gets", "[fabrics]") {
  RequireUserfaultfd();
  const bool shared = GENERATE(true, false);
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  source.Fill(6);
  DestinationOptions options;
  options.populate_early = true;
  std::uint64_t when_met = 0;
  options.on_event = [&](const Event& event) {
    struct stat file{};
    const bool met = event.kind == EventKind::kConnected;
    if (met && fstat(destination.memory().regions()[0].fd, &file) == 0) {
      when_met = static_cast<std::uint64_t>(file.st_blocks) * 512;
    }
  };
  const SessionPair pair = MakePair(source, Pushing(true), destination, std::move(options));
  CHECK(when_met == (shared ? kImage : 0));
  SwitchOverAndTouchAll(pair, destination, source);
}

TEST_CASE("sessions that never spin move everything too", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(5);
  SourceOptions source_options = Pushing(GENERATE(true, false));
  source_options.spin = absl::ZeroDuration();
  DestinationOptions destination_options;
  destination_options.spin = absl::ZeroDuration();
  const SessionPair pair = MakePair(source, std::move(source_options), destination, std::move(destination_options));
  SwitchOverAndTouchAll(pair, destination, source);
}

TEST_CASE("a destination that has everything sleeps", "[fabrics]") {
  GuestImage source(OneRegion(true));
  source.Fill(11);
  GuestImage destination(OneRegion(true));
  SessionPair pair = MakePair(source, Pushing(true), destination, {});
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  REQUIRE(pair.source->WaitUntilDrained(absl::Seconds(60)).ok());
  pair.source.reset();
  absl::SleepFor(absl::Milliseconds(300));
  // Processor time, not time: other programs do not make it more.
  const std::clock_t before = std::clock();
  absl::SleepFor(absl::Seconds(1));
  CHECK(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC < 0.25);
}

TEST_CASE("several channels of each kind carry one session", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage source(OneRegion(true));
  GuestImage destination(OneRegion(true));
  source.Fill(4);
  SourceOptions source_options = Pushing(true);
  source_options.push_channels = 3;
  source_options.demand_channels = 2;
  DestinationOptions destination_options;
  destination_options.push_channels = 8;
  destination_options.demand_channels = 8;
  const SessionPair pair = MakePair(source, std::move(source_options), destination, std::move(destination_options));
  pair.SwitchOver();
  CHECK(TouchAll(destination, source, 3) == 0);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
}

TEST_CASE("memory that was never populated is not transferred and reads as zeros", "[fabrics]") {
  RequireDirtyTracking();
  const bool shared = GENERATE(true, false);
  // Dirty tracking marks the holes of private memory, which may then not look like holes.
  const bool prepages = GENERATE(false, true);
  CAPTURE(shared, prepages);
  GuestImage source(OneRegion(shared));
  GuestImage destination(OneRegion(shared));
  // Every seventh page, so that huge folios do not populate the rest: shared memory here has to be small-paged.
  for (std::size_t page = 0; page < kPages / 2; page += 7)
    std::memset(source.bytes().data() + page * kSmallPage, 7, 100);
  const SessionPair pair = MakePair(source, Pushing(true), destination, {});
  if (prepages) {
    PrePageBudget budget;
    budget.bytes = 16 * kSmallPage;
    budget.observe = absl::ZeroDuration();
    REQUIRE(pair.source->PrePage(budget).ok());
  }
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  // Where memory has to be registered, marks count as data that came late (lib/README.md): it is sent, and right.
  if (OverVerbs() && prepages && !shared) return;
  const SessionStats stats = pair.destination->Stats();
  CHECK(stats.hole_pages >= kPages / 2);
  CHECK(stats.bytes_received <= kImage / 2);
}

TEST_CASE("regions of several kinds make one session", "[fabrics]") {
  RequireDirtyTracking();
  const std::vector<GuestImage::Spec> specs = {{.name = "low", .length = 4u << 20},
                                               {.name = "anonymous", .length = 3u << 20, .shared = false},
                                               {.name = "high", .length = 5u << 20}};
  GuestImage source(specs);
  GuestImage destination(specs);
  source.Fill(9);
  const SessionPair pair = MakePair(source, Pushing(true), destination, {});
  PrePageBudget budget;
  budget.bytes = 6u << 20;
  REQUIRE(pair.source->PrePage(budget).ok());
  source.bytes(1)[0] ^= std::byte{0xff};
  pair.SwitchOver();
  CHECK(destination.bytes(1)[0] == source.bytes(1)[0]);
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
}

TEST_CASE("regions on huge pages of hugetlbfs move beside one on small pages", "[serial]") {
  RequireDirtyTracking();
  const auto pool = HugePagePool::Provide(16);
  if (!pool.ok()) SkipFor(std::string(pool.status().message()));
  const bool push = GENERATE(true, false);
  CAPTURE(push);
  const std::vector<GuestImage::Spec> specs = {
      {.name = "small", .length = 1u << 20},
      {.name = "file", .length = 3 * kHugePage, .page_size = kHugePage},
      {.name = "anonymous", .length = 3 * kHugePage, .page_size = kHugePage, .shared = false}};
  GuestImage source(specs);
  GuestImage destination(specs);
  source.Fill(10);
  DestinationOptions options;
  options.max_outstanding_faults = 4;
  const SessionPair pair = MakePair(source, Pushing(push), destination, std::move(options));
  PrePageBudget budget;
  budget.bytes = 11u << 20;
  const auto report = pair.source->PrePage(budget);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(report->pages_fresh > 0);
  // Written after it may have been sent.
  for (std::size_t region = 0; region < specs.size(); ++region) source.bytes(region)[12345] ^= std::byte{0xff};
  pair.SwitchOver();
  for (std::size_t region = 0; region < specs.size(); ++region) {
    CHECK(destination.bytes(region)[12345] == source.bytes(region)[12345]);
  }
  if (!push) REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  REQUIRE(pair.source->WaitUntilDrained(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  const SessionStats stats = pair.destination->Stats();
  CHECK(stats.total_pages == (1u << 20) / kSmallPage + 6);
  CHECK(stats.resident_pages + stats.hole_pages == stats.total_pages);
  CHECK(stats.bytes_received >= source.memory().total_bytes());
}

}  // namespace
}  // namespace farfault
