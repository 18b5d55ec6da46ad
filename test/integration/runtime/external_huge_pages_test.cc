#include <linux/userfaultfd.h>

#include <catch2/catch_test_macros.hpp>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "test/integration/runtime/external_pager.h"
#include "test/support/memory_machine.h"

// Huge pages for a guest whose process has armed its memory before the session populates it.
namespace farfault {
namespace {

constexpr std::uint64_t kChunks = kPages * kSmallPage / kHugePage;

bool StillWaits(const ForkedGuest& guest) {
  absl::SleepFor(absl::Milliseconds(50));
  return !guest.finished();
}

TEST_CASE("a guest in another process that armed its memory is mapped in huge chunks", "[external][huge]") {
  RequireDirtyTracking();
  ForkedGuest guest(Shared());
  GuestImage image = FilledImage();
  Pager pager(image, true);
  REQUIRE(pager.Prepare(MemoryOf(guest, guest.external())).ok());
  PrePageBudget budget;
  budget.time = absl::Seconds(20);
  budget.observe = absl::ZeroDuration();
  REQUIRE(pager.source.session().PrePage(budget).ok());
  pager.SwitchOver();
  for (std::uint64_t page = 0; page < kPages; ++page) REQUIRE(guest.Sum(page) == ExpectedSum(image, page));
  REQUIRE(pager.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(pager.destination->Stats().chunks_collapsed == kChunks);
}

TEST_CASE("who waits for a page when the session prepares goes on waiting", "[external][huge]") {
  RequireUserfaultfd();
  ForkedGuest guest(Shared());
  guest.BeginSum(3);
  REQUIRE(StillWaits(guest));
  GuestImage image = FilledImage();
  Pager pager(image, false);
  REQUIRE(pager.Prepare(MemoryOf(guest, guest.external())).ok());
  CHECK(StillWaits(guest));
  pager.SwitchOver();
  CHECK(guest.Finish() == ExpectedSum(image, 3));
}

}  // namespace
}  // namespace farfault
