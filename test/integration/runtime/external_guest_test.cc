#include <linux/userfaultfd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "farfault/farfault.h"
#include "test/integration/runtime/external_pager.h"
#include "test/support/memory_machine.h"

// Destinations whose guest lives in another process, which has handed its userfaultfd over.
namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("a guest in another process runs on pages that come on demand and by push", "[fabrics][external]") {
  RequireUserfaultfd();
  const ForkedGuest::Spec spec = GENERATE(Anonymous(), Anonymous(0), Shared(), Shared(0));
  const bool push = GENERATE(false, true);
  ForkedGuest guest(spec);
  GuestImage image = FilledImage();
  Pager pager(image, push);
  const absl::Status prepared = pager.Prepare(MemoryOf(guest, guest.external()));
  INFO(prepared.ToString());
  REQUIRE(prepared.ok());
  // It waits for the switchover.
  guest.BeginSum(3);
  absl::SleepFor(absl::Milliseconds(50));
  CHECK_FALSE(guest.finished());
  pager.SwitchOver();
  CHECK(guest.Finish() == ExpectedSum(image, 3));
  for (std::uint64_t page = 5; page < kPages; page += 97) CHECK(guest.Sum(page) == ExpectedSum(image, page));
  guest.Write(10, 1);
  const std::uint64_t written = guest.Sum(10);
  if (!push) REQUIRE(pager.destination->FetchRest().ok());
  const absl::Status resident = pager.destination->WaitUntilResident(absl::Seconds(60));
  INFO(resident.ToString());
  REQUIRE(resident.ok());
  REQUIRE(pager.source.session().WaitUntilDrained(absl::Seconds(60)).ok());
  pager.destination.reset();
  // Ordinary memory now.
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < kPages; ++page) {
    wrong += guest.Sum(page) != (page == 10 ? written : ExpectedSum(image, page)) ? 1u : 0u;
  }
  CHECK(wrong == 0);
}

TEST_CASE("what a guest in another process was sent before the switchover is up to date after it",
          "[fabrics][external]") {
  RequireDirtyTracking();
  const ForkedGuest::Spec spec = GENERATE(Anonymous(), Shared());
  ForkedGuest guest(spec);
  GuestImage image = FilledImage();
  Pager pager(image, true);
  REQUIRE(pager.Prepare(MemoryOf(guest, guest.external())).ok());
  PrePageBudget budget;
  budget.bytes = kPart;
  budget.time = absl::Seconds(20);
  budget.observe = absl::ZeroDuration();
  const auto report = pager.source.session().PrePage(budget);
  INFO(report.status().ToString());
  REQUIRE(report.ok());
  for (std::uint64_t page = 0; page < kPages; page += 3) image.bytes()[page * kSmallPage] ^= std::byte{1};
  pager.SwitchOver();
  std::uint64_t wrong = 0;
  for (std::uint64_t page = 0; page < kPages; ++page) wrong += guest.Sum(page) != ExpectedSum(image, page) ? 1u : 0u;
  CHECK(wrong == 0);
  REQUIRE(pager.destination->WaitUntilResident(absl::Seconds(60)).ok());
}

TEST_CASE("what a guest in another process gives back reads as zeros", "[external]") {
  RequireUserfaultfd();
  ForkedGuest guest(Anonymous());
  GuestImage image = FilledImage();
  Pager pager(image, false);
  REQUIRE(pager.Prepare(MemoryOf(guest, guest.external())).ok());
  pager.SwitchOver();
  CHECK(guest.Sum(0) == ExpectedSum(image, 0));
  // One page that is here, and the rest that are not; across the gap between the mappings one call does not go.
  guest.Discard(0, 8);
  const std::vector<std::byte> zeros(kSmallPage);
  for (std::uint64_t page = 0; page < 8; ++page) CHECK(guest.Sum(page) == HashPage(zeros));
  CHECK(guest.Sum(8) == ExpectedSum(image, 8));
  REQUIRE(pager.destination->FetchRest().ok());
  REQUIRE(pager.destination->WaitUntilResident(absl::Seconds(60)).ok());
  for (std::uint64_t page = 0; page < 8; ++page) CHECK(guest.Sum(page) == HashPage(zeros));
  // The session is over, but nobody waits for it.
  guest.Discard(100, 1);
  CHECK(guest.Sum(100) == HashPage(zeros));
}

TEST_CASE("the end of the guest's process ends the session", "[external]") {
  RequireUserfaultfd();
  const bool known = GENERATE(true, false);
  ForkedGuest guest(Shared());
  GuestImage image = FilledImage();
  Pager pager(image, false);
  ExternalGuest external = guest.external();
  if (!known) external.pid = 0;
  REQUIRE(pager.Prepare(MemoryOf(guest, external)).ok());
  pager.SwitchOver();
  CHECK(guest.Sum(1) == ExpectedSum(image, 1));
  guest.Kill();
  // Without its number it shows as soon as something is to be mapped.
  if (!known) REQUIRE(pager.destination->FetchRest().ok());
  const absl::Status over = pager.destination->WaitUntilResident(absl::Seconds(60));
  CHECK(absl::IsAborted(over));
  CHECK_THAT(over.ToString(), ContainsSubstring("process that the guest lives in has exited"));
  CHECK(pager.destination->state() == SessionState::kFailed);
}

TEST_CASE("a guest's process that ends while a peer is waited for ends the wait", "[external]") {
  RequireDirtyTracking();
  const bool listens = GENERATE(true, false);
  ForkedGuest guest(Shared());
  DestinationOptions options;
  (listens ? options.listen : options.connect) = listens ? "tcp://127.0.0.1:0" : "tcp://127.0.0.1:1";
  options.on_event = [&](const Event& event) {
    if (event.kind == EventKind::kListening || event.kind == EventKind::kWaitingForPeer) guest.Kill();
  };
  options.peer_timeout = absl::Minutes(5);
  const auto session = DestinationSession::Create(MemoryOf(guest, guest.external()), std::move(options));
  INFO(session.status().ToString());
  CHECK(absl::IsAborted(session.status()));
}

TEST_CASE("a guest in another process stays parked when its pager ends, as long as somebody holds its descriptor",
          "[external]") {
  RequireUserfaultfd();
  const ForkedGuest::Spec spec = GENERATE(Anonymous(), Shared());
  ForkedGuest guest(spec);
  GuestImage image = FilledImage();
  {
    Pager pager(image, false);
    REQUIRE(pager.Prepare(MemoryOf(guest, guest.external())).ok());
    pager.SwitchOver();
    CHECK(guest.Sum(1) == ExpectedSum(image, 1));
  }
  guest.BeginSum(2);
  absl::SleepFor(absl::Milliseconds(100));
  CHECK_FALSE(guest.finished());
}

TEST_CASE("external guests that cannot work are refused with the reason", "[external]") {
  RequireDirtyTracking();
  ForkedGuest shared(Shared(0));
  ForkedGuest anonymous(Anonymous(0));
  const GuestImage never_sent(std::vector<GuestImage::Spec>{{.length = kPart}});
  GuestImage image = FilledImage();
  const auto refused = [&image](GuestMemory memory) {
    Pager pager(image, false);
    const absl::Status status = pager.Prepare(std::move(memory));
    // A source that was left waiting goes by itself.
    pager.destination.reset();
    INFO(status.ToString());
    REQUIRE_FALSE(status.ok());
    return status.ToString();
  };
  SECTION("pages that are mapped already") {
    for (ForkedGuest* guest : {&shared, &anonymous}) {
      guest->Write(1, 5);
      CHECK_THAT(refused(MemoryOf(*guest, guest->external())),
                 ContainsSubstring("1 of its pages are mapped in process"));
    }
  }
  SECTION("taking over a guest with a file without knowing what it has") {
    ExternalGuest external = shared.external();
    external.taken_over = true;
    CHECK_THAT(refused(MemoryOf(shared, external)), ContainsSubstring("state_file"));
  }
  SECTION("another file") {
    auto memory = GuestMemory::CreateExternal({{.name = "ram",
                                                .mappings = {shared.mappings()[0], shared.mappings()[1]},
                                                .fd = never_sent.memory().regions()[0].fd}},
                                              shared.external());
    REQUIRE(memory.ok());
    CHECK_THAT(refused(*memory), ContainsSubstring("must be the file that is mapped"));
  }
  SECTION("addresses where nothing is mapped") {
    auto memory =
        GuestMemory::CreateExternal({{.name = "ram", .mappings = {{0x1000000, 2 * kPart}}}}, anonymous.external());
    REQUIRE(memory.ok());
    CHECK_THAT(refused(*memory), ContainsSubstring("nothing is mapped at 0x1000000; map all of it first") &&
                                     ContainsSubstring("in process "));
  }
  SECTION("a descriptor that is no userfaultfd") {
    ExternalGuest external = anonymous.external();
    external.userfaultfd = shared.file();
    CHECK_THAT(refused(MemoryOf(anonymous, external)), ContainsSubstring("is not a userfaultfd"));
  }
  SECTION("remove events of a file") {
    ExternalGuest external = shared.external();
    external.features |= UFFD_FEATURE_EVENT_REMOVE;
    CHECK_THAT(refused(MemoryOf(shared, external)), ContainsSubstring("UFFD_FEATURE_EVENT_REMOVE"));
  }
}

}  // namespace
}  // namespace farfault
