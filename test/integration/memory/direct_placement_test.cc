#include <poll.h>
#include <sys/mman.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <cstring>
#include <thread>

#include "test/integration/memory/direct_memory.h"
#include "test/support/fill.h"
#include "test/support/future.h"
#include "test/support/memory_machine.h"
#include "test/support/memory_rig.h"

namespace farfault {
namespace {

constexpr std::uint64_t kPages = Direct::kPages;

TEST_CASE("populating leaves the guest's mapping empty, and its frames are in the alias", "[memory][direct]") {
  Direct direct;
  std::memset(direct.region.bytes().data(), 7, direct.region.bytes().size());
  MemoryRig& rig = direct.Arm();
  CHECK(PresentPages(direct.region.bytes().data(), kPages * kSmallPage) == 0);
  REQUIRE(rig.transport().registrations().size() == 1);
  const LocalTransport::Registration& registered = rig.transport().registrations()[0];
  CHECK(registered.access == RemoteAccess::kWrite);
  CHECK(PresentPages(registered.memory.data(), kPages * kSmallPage) == kPages);
  REQUIRE(rig.placement().frames().size() == 1);
  const Extent frames = rig.placement().frames()[0];
  CHECK(frames.key == registered.key);
  CHECK(frames.pages == PageRun{0, kPages});
  CHECK(rig.placement().staging().empty());
  CHECK(rig.placement().DemandFrame(5, 0).address == registered.memory.data() + 5 * kSmallPage);

  rig.placement().RevokeFrames();
  CHECK(rig.transport().registrations().empty());
}

TEST_CASE("a fault is answered with what has landed in the frame", "[memory][direct]") {
  Direct direct;
  MemoryRig& rig = direct.Arm();
  auto seen = rig.Read(9);
  auto wrote = rig.Run([byte = rig.Guest(30)] { *static_cast<volatile std::byte*>(byte) = std::byte{1}; });
  auto events = rig.WaitForEvents(2);
  REQUIRE(events.size() == 2);
  if (events[0].run.first == 30) std::swap(events[0], events[1]);
  CHECK(events[0].kind == FeedEventKind::kFault);
  CHECK(events[0].run == PageRun{9, 1});
  CHECK_FALSE(events[0].write);
  CHECK(events[1].run == PageRun{30, 1});
  CHECK(events[1].write);
  CHECK(Parked(seen));

  rig.Land(9);
  CHECK(rig.placement().MapDemanded(9, 0).status == MapStatus::kOk);
  REQUIRE(Done(seen));
  CHECK(HasPattern(seen.get(), 9));
  CHECK(Parked(wrote));
  rig.Land(30);
  CHECK(rig.placement().MapDemanded(30, 0).status == MapStatus::kOk);
  REQUIRE(Done(wrote));
  CHECK(rig.GuestPage(30)[0] == std::byte{1});
  CHECK(HasPattern(rig.GuestPage(30).subspan(1), 30, 0) == false);
  CHECK(rig.GuestPage(30)[5] == PatternByte(30, 5));
}

TEST_CASE("a run is mapped around what is mapped already, and all who wait in it wake", "[memory][direct]") {
  Direct direct;
  MemoryRig& rig = direct.Arm();
  for (PageIndex page = 0; page < 16; ++page) rig.Land(page);
  CHECK(rig.placement().MapLanded({3, 1}).status == MapStatus::kOk);
  CHECK(rig.placement().MapLanded({7, 2}).status == MapStatus::kOk);
  auto first = rig.Read(0);
  auto last = rig.Read(15);
  REQUIRE(rig.WaitForEvents(2).size() == 2);
  const MapResult result = rig.placement().MapLanded({0, 16});
  CHECK(result.status == MapStatus::kOk);
  CHECK(result.pages_done == 16);
  REQUIRE(Done(first));
  REQUIRE(Done(last));
  for (PageIndex page = 0; page < 16; ++page) CHECK(HasPattern(rig.GuestPage(page), page));
  CHECK(rig.Quiet());
}

TEST_CASE("who waits for a page that another run has mapped is woken although the kernel says EEXIST",
          "[memory][direct]") {
  Direct direct;
  MemoryRig& rig = direct.Arm();
  rig.Land(4);
  auto seen = rig.Read(4);
  REQUIRE(rig.WaitForEvents(1).size() == 1);
  REQUIRE(rig.uffd().Continue(rig.Guest(4), kSmallPage, UffdWake::kLater).status == UffdStatus::kDone);
  CHECK(Parked(seen));
  const MapResult result = rig.placement().MapDemanded(4, 0);
  CHECK(result.status == MapStatus::kOk);
  CHECK(result.pages_done == 1);
  REQUIRE(Done(seen));
  CHECK(HasPattern(seen.get(), 4));
}

TEST_CASE("what the guest writes is in the file, and stays when everything is disarmed", "[memory][direct]") {
  Direct direct;
  MemoryRig& rig = direct.Arm();
  for (PageIndex page = 0; page < kPages; ++page) rig.Land(page);
  REQUIRE(rig.placement().MapLanded({0, kPages}).status == MapStatus::kOk);
  direct.region.bytes()[kSmallPage] = std::byte{99};
  rig.placement().RevokeFrames();
  CHECK(rig.placement().Disarm().ok());
  CHECK(direct.region.bytes()[kSmallPage] == std::byte{99});
  direct.rig.reset();
  CHECK(direct.region.bytes()[kSmallPage] == std::byte{99});
  CHECK(HasPattern(direct.region.bytes().subspan(2 * kSmallPage, kSmallPage), 2));
}

TEST_CASE("a page that is touched while the memory is armed faults like every other", "[memory][direct][staged]") {
  RequireUserfaultfd();
  constexpr std::uint64_t kMany = 16u << 10;
  for (const bool shared : {true, false}) {
    CAPTURE(shared);
    auto owned = shared ? OwnedRegion::CreateShared("ram", kMany * kSmallPage)
                        : OwnedRegion::CreateAnonymous("ram", kMany * kSmallPage);
    REQUIRE(owned.ok());
    std::memset(owned->bytes().data(), 7, owned->bytes().size());
    std::atomic<bool> over = false;
    std::jthread guest([&] {
      while (!over) {
        for (PageIndex page = 0; page < kMany && !over; ++page) {
          static_cast<void>(*static_cast<volatile std::byte*>(owned->bytes().data() + page * kSmallPage));
        }
      }
    });
    auto rig = MemoryRig::Create({owned->region()});
    over = true;
    CHECK(rig.ok());
    if (rig.ok()) CHECK(PresentPages(owned->bytes().data(), kMany * kSmallPage) == 0);
    if (rig.ok()) rig->reset();
  }
}

TEST_CASE("memory that the guest discards comes back as an event", "[memory][direct]") {
  Direct direct;
  MemoryRig& rig = direct.Arm({}, UFFD_FEATURE_EVENT_REMOVE);
  rig.Land(0);
  auto discarded = rig.Run([&rig] { madvise(rig.Guest(10), 4 * kSmallPage, MADV_REMOVE); });
  // Until the event has been read, nothing may be mapped.
  pollfd wait{.fd = rig.feed().fd(), .events = POLLIN, .revents = 0};
  REQUIRE(poll(&wait, 1, 20'000) == 1);
  CHECK(rig.placement().MapLanded({0, 1}).status == MapStatus::kRetry);
  const auto events = rig.WaitForEvents(1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == FeedEventKind::kDiscard);
  CHECK(events[0].run == PageRun{10, 4});
  REQUIRE(Done(discarded));
  CHECK(rig.placement().MapLanded({0, 1}).status == MapStatus::kOk);
}

TEST_CASE("several regions, each with its own pages", "[memory][direct]") {
  Direct direct;
  auto other = OwnedRegion::CreateShared("video", 8 * kSmallPage);
  REQUIRE(other.ok());
  auto created = MemoryRig::Create({direct.region.region(), other->region()});
  REQUIRE(created.ok());
  MemoryRig& rig = **created;
  auto seen = rig.Read(kPages + 3);
  const auto events = rig.WaitForEvents(1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].run == PageRun{kPages + 3, 1});
  rig.Land(kPages + 3);
  CHECK(rig.placement().MapDemanded(kPages + 3, 0).status == MapStatus::kOk);
  REQUIRE(Done(seen));
  CHECK(HasPattern(other->bytes().subspan(3 * kSmallPage, kSmallPage), kPages + 3));
}

TEST_CASE("a part of a file, at an offset", "[memory][direct]") {
  Direct direct;
  Region part = direct.region.region();
  part.base += 16 * kSmallPage;
  part.length = 8 * kSmallPage;
  part.file_offset = 16 * kSmallPage;
  auto created = MemoryRig::Create({part});
  REQUIRE(created.ok());
  (*created)->Land(2);
  CHECK((*created)->placement().MapDemanded(2, 0).status == MapStatus::kOk);
  CHECK(HasPattern({part.base + 2 * kSmallPage, kSmallPage}, 2));
}

}  // namespace
}  // namespace farfault
