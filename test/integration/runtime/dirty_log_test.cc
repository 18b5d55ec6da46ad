#include <sys/mman.h>

#include <catch2/catch_test_macros.hpp>
#include <utility>
#include <vector>

#include "farfault/farfault.h"
#include "test/support/memory_machine.h"
#include "test/support/session_pair.h"

// Pre-paging by a dirty log of the caller's.
namespace farfault {
namespace {

constexpr std::uint64_t kImage = 4u << 20;
constexpr std::uint64_t kPages = kImage / kSmallPage;

std::vector<GuestImage::Spec> OneRegion() { return {{.length = kImage}}; }

TEST_CASE("a dirty log that the session reads by itself takes the place of tracking", "[fabrics]") {
  RequireUserfaultfd();
  GuestImage source(OneRegion());
  GuestImage destination(OneRegion());
  source.Fill(12);
  std::vector<PageRun> unread;
  int reads = 0;
  SourceOptions options;
  options.track_dirty = false;
  options.track_history = false;
  options.dirty_log = [&](std::vector<PageRun>* written) {
    ++reads;
    // What is written after this shows up next time: as good as a guest that writes while the round is being sent.
    written->swap(unread);
    if (reads != 1) return absl::OkStatus();
    source.bytes()[9 * kSmallPage] ^= std::byte{0xff};
    unread.push_back({9, 1});
    return absl::OkStatus();
  };
  const SessionPair pair = MakePair(source, std::move(options), destination, {});
  PrePageBudget budget;
  budget.bytes = 2 * kImage;
  const auto report = pair.source->PrePage(budget);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  CHECK(reads >= 2);
  CHECK(report->pages_sent == kPages + 1);
  source.bytes()[11 * kSmallPage] ^= std::byte{0xff};
  source.bytes()[12 * kSmallPage] ^= std::byte{0xff};
  unread.push_back({11, 2});
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  CHECK(pair.destination->Stats().pages_stale == 2);
}

TEST_CASE("a dirty log adds to what the session finds out by itself") {
  RequireDirtyTracking();
  GuestImage source(OneRegion());
  GuestImage destination(OneRegion());
  source.Fill(13);
  // Another mapping of the file: what is written through it, the session cannot see.
  const Region& region = source.memory().regions()[0];
  void* const mapped = mmap(nullptr, region.length, PROT_READ | PROT_WRITE, MAP_SHARED, region.fd,
                            static_cast<off_t>(region.file_offset));
  REQUIRE(mapped != MAP_FAILED);
  auto* const other = static_cast<std::byte*>(mapped);
  std::vector<PageRun> unread;
  SourceOptions options;
  options.dirty_log = [&](std::vector<PageRun>* written) {
    written->swap(unread);
    return absl::OkStatus();
  };
  const SessionPair pair = MakePair(source, std::move(options), destination, {});
  PrePageBudget budget;
  budget.bytes = 2 * kImage;
  REQUIRE(pair.source->PrePage(budget).ok());
  source.bytes()[20 * kSmallPage] ^= std::byte{0xff};
  other[30 * kSmallPage] ^= std::byte{0xff};
  unread.push_back({30, 1});
  pair.SwitchOver();
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(destination.FirstDifference(source).empty());
  CHECK(pair.destination->Stats().pages_stale == 2);
  munmap(mapped, region.length);
}

TEST_CASE("after a dirty log has failed nothing that was sent is taken for fresh") {
  RequireUserfaultfd();
  GuestImage source(OneRegion());
  source.Fill(9);
  GuestImage destination(OneRegion());
  absl::Status next;
  std::vector<PageRun> written_next;
  SourceOptions options;
  options.track_dirty = false;
  options.track_history = false;
  options.dirty_log = [&](std::vector<PageRun>* written) {
    *written = written_next;
    return next;
  };
  const SessionPair pair = MakePair(source, std::move(options), destination, {});
  PrePageBudget budget;
  budget.bytes = 2 * kImage;
  REQUIRE(pair.source->PrePage(budget).ok());
  // Written, and the log that knew of it is lost.
  source.bytes()[3 * kSmallPage] ^= std::byte{0xff};
  SECTION("in a round") {
    next = absl::UnavailableError("no log today");
    CHECK(pair.source->PrePage(budget).status() == next);
  }
  SECTION("at the switchover") {
    next = absl::UnavailableError("no log today");
    CHECK(pair.source->SwitchOver() == next);
  }
  SECTION("by naming pages that there are not") {
    written_next = {{kPages, 1}};
    CHECK(absl::IsInvalidArgument(pair.source->PrePage(budget).status()));
    CHECK(absl::IsInvalidArgument(pair.source->SwitchOver()));
  }
  CHECK(pair.source->state() == SessionState::kPrepared);
  next = absl::OkStatus();
  written_next.clear();
  pair.SwitchOver();
  REQUIRE(pair.destination->FetchRest().ok());
  REQUIRE(pair.destination->WaitUntilResident(absl::Seconds(30)).ok());
  CHECK(destination.FirstDifference(source).empty());
}

}  // namespace
}  // namespace farfault
