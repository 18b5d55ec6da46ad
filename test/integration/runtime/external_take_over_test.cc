#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "test/integration/runtime/external_pager.h"
#include "test/support/memory_machine.h"

// Guests in another process that go from one pager to the next, which may fail.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

/// A guest in another process, the memory that it had at its source, and the file in which one pager of it leaves the
/// next its state.
struct PagedGuest {
  explicit PagedGuest(const ForkedGuest::Spec& spec) : guest(spec) {}
  PagedGuest(const PagedGuest&) = delete;
  PagedGuest& operator=(const PagedGuest&) = delete;
  ~PagedGuest() { unlink(state_file.c_str()); }

  std::unique_ptr<Pager> NewPager(bool push) {
    auto pager = std::make_unique<Pager>(image, push);
    pager->state_file = state_file;
    return pager;
  }
  absl::Status Prepare(Pager& pager) const { return pager.Prepare(MemoryOf(guest, external)); }
  std::unique_ptr<Pager> PreparedPager(bool push) {
    auto pager = NewPager(push);
    const absl::Status prepared = Prepare(*pager);
    INFO(prepared.ToString());
    REQUIRE(prepared.ok());
    return pager;
  }
  std::uint64_t WrongPages() {
    std::uint64_t wrong = 0;
    for (std::uint64_t page = 0; page < kPages; ++page) wrong += guest.Sum(page) != ExpectedSum(image, page) ? 1u : 0u;
    return wrong;
  }

  const std::string state_file = fmt::format("/dev/shm/farfault-state-{}", getpid());
  ForkedGuest guest;
  GuestImage image = FilledImage();
  ExternalGuest external = guest.external();
};

TEST_CASE("a guest in another process is taken over by another pager, with all that it has written",
          "[fabrics][external]") {
  RequireDirtyTracking();
  const ForkedGuest::Spec spec = GENERATE(Anonymous(), Shared());
  const bool push = GENERATE(false, true);
  PagedGuest paged(spec);
  ForkedGuest& guest = paged.guest;
  std::uint64_t written = 0;
  {
    auto pager = paged.PreparedPager(false);
    pager->SwitchOver();
    for (std::uint64_t page = 0; page < kPages; page += 5) guest.Write(page, page);
    written = guest.Sum(100);
  }
  guest.BeginSum(1);
  // The last that the first pager did was to read this fault.
  pollfd fault{.fd = guest.userfaultfd(), .events = POLLIN, .revents = 0};
  REQUIRE(poll(&fault, 1, 10'000) == 1);
  uffd_msg message{};
  REQUIRE(read(guest.userfaultfd(), &message, sizeof(message)) == sizeof(message));
  paged.external.taken_over = true;
  auto pager = paged.PreparedPager(push);
  pager->SwitchOver();
  CHECK(guest.Finish() == ExpectedSum(paged.image, 1));
  CHECK(guest.Sum(100) == written);
  if (!push) REQUIRE(pager->destination->FetchRest().ok());
  REQUIRE(pager->destination->WaitUntilResident(absl::Seconds(60)).ok());
  const SessionStats stats = pager->destination->Stats();
  CHECK(stats.resident_pages == kPages);
  const std::uint64_t came = stats.pages_demanded + stats.pages_pushed + stats.pages_fetched;
  // A push that was overtaken by a read may not have been taken in.
  CHECK(came - stats.duplicates <= kPages - (kPages + 4) / 5);
  for (std::uint64_t page = 0; page < kPages; page += 5) {
    std::memcpy(paged.image.bytes().data() + page * kSmallPage, &page, sizeof(page));
  }
  CHECK(paged.WrongPages() == 0);
}

TEST_CASE("a guest that may run already stays parked when its next pager fails before the switchover", "[external]") {
  RequireDirtyTracking();
  const ForkedGuest::Spec spec = GENERATE(Anonymous(0), Shared(0));
  PagedGuest paged(spec);
  ForkedGuest& guest = paged.guest;
  {
    auto pager = paged.PreparedPager(false);
    pager->SwitchOver();
    CHECK(guest.Sum(1) == ExpectedSum(paged.image, 1));
  }
  paged.external.taken_over = true;
  guest.BeginSum(2);
  paged.PreparedPager(false).reset();
  absl::SleepFor(absl::Milliseconds(100));
  CHECK_FALSE(guest.finished());
  auto pager = paged.PreparedPager(false);
  pager->SwitchOver();
  CHECK(guest.Finish() == ExpectedSum(paged.image, 2));
}

TEST_CASE("what a pager was sent that ended before the switchover does not count for the next", "[external]") {
  RequireDirtyTracking();
  PagedGuest paged(Shared());
  {
    auto pager = paged.PreparedPager(true);
    CHECK(absl::IsDeadlineExceeded(pager->destination->Activate(absl::Milliseconds(10))));
    PrePageBudget budget;
    budget.bytes = kPart;
    budget.time = absl::Seconds(20);
    budget.observe = absl::ZeroDuration();
    REQUIRE(pager->source.session().PrePage(budget).ok());
  }
  paged.image.Fill(8);
  paged.external.taken_over = true;
  auto pager = paged.PreparedPager(false);
  pager->SwitchOver();
  CHECK(paged.WrongPages() == 0);
}

TEST_CASE("a pager that does not get the guest leaves the state file of the one before", "[external]") {
  RequireDirtyTracking();
  PagedGuest paged(Shared());
  ForkedGuest& guest = paged.guest;
  {
    auto pager = paged.PreparedPager(false);
    pager->SwitchOver();
    guest.Write(1, 5);
  }
  const std::uint64_t written = guest.Sum(1);
  {
    auto pager = paged.NewPager(false);
    // Without taken_over, by mistake.
    const absl::Status refused = paged.Prepare(*pager);
    CHECK_THAT(refused.ToString(), ContainsSubstring("are mapped in process"));
  }
  paged.external.taken_over = true;
  auto pager = paged.PreparedPager(true);
  pager->SwitchOver();
  REQUIRE(pager->destination->WaitUntilResident(absl::Seconds(60)).ok());
  CHECK(guest.Sum(1) == written);
}

}  // namespace
}  // namespace farfault
