#include <linux/userfaultfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>

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

std::uint64_t FileBytes(const ForkedGuest& guest) {
  struct stat file{};
  return fstat(guest.file(), &file) == 0 ? static_cast<std::uint64_t>(file.st_blocks) * 512 : 0;
}

// What a destination that populates early had taken when it met its source, and what it said of it.
struct EarlyMemory {
  explicit EarlyMemory(Pager& pager, const ForkedGuest& guest) {
    pager.populate_early = true;
    pager.on_event = [this, &guest](const Event& event) {
      if (event.kind == EventKind::kConnected) bytes = FileBytes(guest);
      if (event.kind == EventKind::kHint) hints += event.text;
    };
  }
  std::uint64_t bytes = 0;
  std::string hints;
};

TEST_CASE("what was populated before the source came is given back where the source has holes", "[external][huge]") {
  RequireDirtyTracking();
  ForkedGuest guest(Shared());
  GuestImage image(std::vector<GuestImage::Spec>{{.length = 2 * kPart}});
  std::fill_n(image.bytes().data(), kPart, std::byte{7});
  Pager pager(image, true);
  EarlyMemory early(pager, guest);
  REQUIRE(pager.Prepare(MemoryOf(guest, guest.external())).ok());
  CHECK(early.bytes == 2 * kPart);
  CHECK(FileBytes(guest) == kPart);
  guest.BeginSum(0);
  CHECK(StillWaits(guest));
  pager.SwitchOver();
  CHECK(guest.Finish() == ExpectedSum(image, 0));
  for (std::uint64_t page = 1; page < kPages; page += 31) CHECK(guest.Sum(page) == ExpectedSum(image, page));
  REQUIRE(pager.destination->WaitUntilResident(absl::Seconds(60)).ok());
}

TEST_CASE("of a guest that has begun, or may be touching its memory, nothing is populated early", "[external][huge]") {
  RequireDirtyTracking();
  const bool armed = GENERATE(true, false);
  ForkedGuest guest(armed ? Shared() : Shared(0));
  ExternalGuest external = guest.external();
  external.running = armed;
  GuestImage image = FilledImage();
  Pager pager(image, true);
  EarlyMemory early(pager, guest);
  REQUIRE(pager.Prepare(MemoryOf(guest, external)).ok());
  CHECK(early.bytes == 0);
  CHECK_THAT(early.hints, Catch::Matchers::ContainsSubstring("no memory is populated before the source is there"));
}

}  // namespace
}  // namespace farfault
