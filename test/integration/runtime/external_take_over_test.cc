#include <fmt/format.h>
#include <poll.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstring>
#include <string>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "test/integration/runtime/external_pager.h"

// Guests in another process that go from one pager to the next, which may fail.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("a guest in another process is taken over by another pager, with all that it has written",
          "[fabrics][external]") {
  RequireUserfaultfd();
  const ForkedGuest::Spec spec = GENERATE(Anonymous(), Shared());
  const bool push = GENERATE(false, true);
  const std::string state_file = fmt::format("/dev/shm/farfault-state-{}", getpid());
  ForkedGuest guest(spec);
  GuestImage image = FilledImage();
  std::uint64_t written = 0;
  {
    Pager pager(image, false);
    pager.state_file = state_file;
    const absl::Status prepared = pager.Prepare(MemoryOf(guest, guest.external()));
    INFO(prepared.ToString());
    REQUIRE(prepared.ok());
    pager.SwitchOver();
    for (std::uint64_t page = 0; page < kPages; page += 5) guest.Write(page, page);
    written = guest.Sum(100);
  }
  guest.BeginSum(1);
  // The last that the first pager did was to read this fault.
  pollfd fault{.fd = guest.userfaultfd(), .events = POLLIN, .revents = 0};
  REQUIRE(poll(&fault, 1, 10'000) == 1);
  uffd_msg message{};
  REQUIRE(read(guest.userfaultfd(), &message, sizeof(message)) == sizeof(message));
  Pager pager(image, push);
  pager.state_file = state_file;
  ExternalGuest external = guest.external();
  external.taken_over = true;
  const absl::Status prepared = pager.Prepare(MemoryOf(guest, external));
  INFO(prepared.ToString());
  REQUIRE(prepared.ok());
  pager.SwitchOver();
  CHECK(guest.Finish() == ExpectedSum(image, 1));
  CHECK(guest.Sum(100) == written);
  if (!push) REQUIRE(pager.destination->FetchRest().ok());
  REQUIRE(pager.destination->WaitUntilResident(absl::Seconds(60)).ok());
  const SessionStats stats = pager.destination->Stats();
  CHECK(stats.resident_pages == kPages);
  const std::uint64_t came = stats.pages_demanded + stats.pages_pushed + stats.pages_fetched;
  // A push that was overtaken by a read may not have been taken in.
  CHECK(came - stats.duplicates <= kPages - (kPages + 4) / 5);
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < kPages; ++page) {
    if (page % 5 == 0) std::memcpy(image.bytes().data() + page * kSmallPage, &page, sizeof(page));
    wrong += guest.Sum(page) != ExpectedSum(image, page) ? 1u : 0u;
  }
  CHECK(wrong == 0);
  unlink(state_file.c_str());
}

TEST_CASE("a guest that may run already stays parked when its next pager fails before the switchover", "[external]") {
  RequireUserfaultfd();
  const ForkedGuest::Spec spec = GENERATE(Anonymous(0), Shared(0));
  const std::string state_file = fmt::format("/dev/shm/farfault-state-{}", getpid());
  ForkedGuest guest(spec);
  GuestImage image = FilledImage();
  ExternalGuest external = guest.external();
  {
    Pager pager(image, false);
    pager.state_file = state_file;
    REQUIRE(pager.Prepare(MemoryOf(guest, external)).ok());
    pager.SwitchOver();
    CHECK(guest.Sum(1) == ExpectedSum(image, 1));
  }
  external.taken_over = true;
  guest.BeginSum(2);
  {
    Pager pager(image, false);
    pager.state_file = state_file;
    REQUIRE(pager.Prepare(MemoryOf(guest, external)).ok());
  }
  absl::SleepFor(absl::Milliseconds(100));
  CHECK_FALSE(guest.finished());
  Pager pager(image, false);
  pager.state_file = state_file;
  REQUIRE(pager.Prepare(MemoryOf(guest, external)).ok());
  pager.SwitchOver();
  CHECK(guest.Finish() == ExpectedSum(image, 2));
  unlink(state_file.c_str());
}

TEST_CASE("what a pager was sent that ended before the switchover does not count for the next", "[external]") {
  RequireUserfaultfd();
  const std::string state_file = fmt::format("/dev/shm/farfault-state-{}", getpid());
  ForkedGuest guest(Shared());
  GuestImage image = FilledImage();
  ExternalGuest external = guest.external();
  {
    Pager pager(image, true);
    pager.state_file = state_file;
    REQUIRE(pager.Prepare(MemoryOf(guest, external)).ok());
    CHECK(absl::IsDeadlineExceeded(pager.destination->Activate(absl::Milliseconds(10))));
    PrePageBudget budget;
    budget.bytes = kPart;
    budget.time = absl::Seconds(20);
    budget.observe = absl::ZeroDuration();
    REQUIRE(pager.source.session().PrePage(budget).ok());
  }
  image.Fill(8);
  external.taken_over = true;
  Pager pager(image, false);
  pager.state_file = state_file;
  const absl::Status prepared = pager.Prepare(MemoryOf(guest, external));
  INFO(prepared.ToString());
  REQUIRE(prepared.ok());
  pager.SwitchOver();
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < kPages; ++page) wrong += guest.Sum(page) != ExpectedSum(image, page) ? 1u : 0u;
  CHECK(wrong == 0);
  unlink(state_file.c_str());
}

TEST_CASE("a pager that does not get the guest leaves the state file of the one before", "[external]") {
  RequireUserfaultfd();
  const std::string state_file = fmt::format("/dev/shm/farfault-state-{}", getpid());
  ForkedGuest guest(Shared());
  GuestImage image = FilledImage();
  ExternalGuest external = guest.external();
  {
    Pager pager(image, false);
    pager.state_file = state_file;
    REQUIRE(pager.Prepare(MemoryOf(guest, external)).ok());
    pager.SwitchOver();
    guest.Write(1, 5);
  }
  const std::uint64_t written = guest.Sum(1);
  {
    Pager pager(image, false);
    pager.state_file = state_file;
    pager.collapse_huge_pages = false;
    // Without taken_over, by mistake.
    const absl::Status refused = pager.Prepare(MemoryOf(guest, external));
    CHECK_THAT(refused.ToString(), ContainsSubstring("are mapped in process"));
    pager.destination.reset();
  }
  external.taken_over = true;
  Pager pager(image, true);
  pager.state_file = state_file;
  const absl::Status prepared = pager.Prepare(MemoryOf(guest, external));
  INFO(prepared.ToString());
  REQUIRE(prepared.ok());
  pager.SwitchOver();
  REQUIRE(pager.destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(guest.Sum(1) == written);
  unlink(state_file.c_str());
}

}  // namespace
}  // namespace farfault
