#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/mman.h>

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <vector>

#include "test/support/fill.h"
#include "test/support/future.h"
#include "test/support/memory_machine.h"
#include "test/support/memory_rig.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

constexpr std::uint64_t kPages = 64;

struct Staged {
  Staged() {
    if (const absl::Status status = UserfaultfdAvailable(); !status.ok()) SkipFor(std::string(status.message()));
    auto owned = OwnedRegion::CreateAnonymous("heap", kPages * kSmallPage);
    REQUIRE(owned.ok());
    region = *std::move(owned);
  }

  MemoryRig& Arm(std::uint64_t more_features = 0) {
    const GuestPlacementOptions options{.demand_slots = 4, .staging_bytes = 10 * kSmallPage + 1, .push_channels = 2};
    auto created = MemoryRig::Create({region.region()}, options, more_features);
    INFO(created.status().ToString());
    REQUIRE(created.ok());
    rig = *std::move(created);
    return *rig;
  }

  OwnedRegion region;
  std::unique_ptr<MemoryRig> rig;
};

TEST_CASE("anonymous memory has a ring per push channel and a frame per demand slot", "[memory][staged]") {
  Staged staged;
  MemoryRig& rig = staged.Arm();
  CHECK_FALSE(rig.placement().direct(0));
  CHECK(rig.placement().frames().empty());
  const auto rings = rig.placement().staging();
  REQUIRE(rings.size() == 2);
  CHECK(rings[0].size() == 11 * kSmallPage);
  REQUIRE(rig.placement().staging_memory().size() == 2);
  CHECK(rig.placement().staging_memory()[1].address == reinterpret_cast<std::uint64_t>(rings[1].data()));
  const Frame first = rig.placement().DemandFrame(7, 0);
  const Frame last = rig.placement().DemandFrame(7, 3);
  CHECK(last.address == first.address + 3 * kSmallPage);
  std::size_t writable = 0;
  for (const auto& entry : rig.transport().registrations()) writable += entry.access == RemoteAccess::kWrite ? 1 : 0;
  CHECK(writable == 2);
  REQUIRE(rig.transport().registrations().size() == 3);
}

TEST_CASE("what the memory held before is gone, and faults are answered from the slot", "[memory][staged]") {
  Staged staged;
  std::memset(staged.region.bytes().data(), 7, staged.region.bytes().size());
  MemoryRig& rig = staged.Arm();
  CHECK(PresentPages(staged.region.bytes().data(), kPages * kSmallPage) == 0);
  auto seen = rig.Read(9);
  const auto events = rig.WaitForEvents(1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].run == PageRun{9, 1});
  CHECK(Parked(seen));
  rig.Land(9, 2);
  rig.Land(10, 1);
  CHECK(rig.placement().MapDemanded(9, 2).status == MapStatus::kOk);
  REQUIRE(Done(seen));
  CHECK(HasPattern(seen.get(), 9));
}

TEST_CASE("a pushed run is installed, and who waits for it wakes", "[memory][staged]") {
  Staged staged;
  MemoryRig& rig = staged.Arm();
  std::vector<std::byte> ring(8 * kSmallPage);
  for (PageIndex page = 0; page < 8; ++page) FillPattern(std::span(ring).subspan(page * kSmallPage, kSmallPage), page);
  auto seen = rig.Read(6);
  REQUIRE(rig.WaitForEvents(1).size() == 1);
  const MapResult result = rig.placement().MapStaged({0, 8}, ring.data());
  CHECK(result.status == MapStatus::kOk);
  CHECK(result.pages_done == 8);
  REQUIRE(Done(seen));
  CHECK(HasPattern(seen.get(), 6));
  for (PageIndex page = 0; page < 8; ++page) CHECK(HasPattern(rig.GuestPage(page), page));
}

TEST_CASE("bytes that somebody else has put into a missing page do not pass for the source's", "[memory][staged]") {
  Staged staged;
  MemoryRig& rig = staged.Arm();
  std::vector<std::byte> ring(8 * kSmallPage);
  REQUIRE(rig.uffd().ZeroPage(rig.Guest(3), kSmallPage).status == UffdStatus::kDone);
  const MapResult result = rig.placement().MapStaged({0, 8}, ring.data());
  CHECK(result.status == MapStatus::kFailed);
  CHECK(result.pages_done == 3);
  CHECK(rig.placement().failure().message().find("offset 0x3000") != std::string::npos);
  CHECK(rig.placement().failure().message().find("somebody else") != std::string::npos);
  CHECK(rig.placement().MapDemanded(3, 0).status == MapStatus::kFailed);
}

TEST_CASE("zeros for anonymous memory; a page that is there keeps its bytes", "[memory][staged]") {
  Staged staged;
  MemoryRig& rig = staged.Arm();
  rig.Land(2);
  REQUIRE(rig.placement().MapDemanded(2, 0).status == MapStatus::kOk);
  auto seen = rig.Read(4);
  REQUIRE(rig.WaitForEvents(1).size() == 1);
  CHECK(rig.placement().MapZeros({0, 6}).pages_done == 6);
  REQUIRE(Done(seen));
  CHECK(AllZero(seen.get()));
  CHECK(HasPattern(rig.GuestPage(2), 2));
}

TEST_CASE("what is kept until the switchover is seen by nobody, and its latest bytes after it", "[memory][staged]") {
  Staged staged;
  MemoryRig& rig = staged.Arm();
  auto forgotten = rig.Read(5);
  auto kept = rig.Read(6);
  REQUIRE(rig.WaitForEvents(2).size() == 2);
  std::vector<std::byte> ring(8 * kSmallPage);
  for (PageIndex page = 0; page < 8; ++page) FillPattern(std::span(ring).subspan(page * kSmallPage, kSmallPage), page);
  REQUIRE(rig.placement().KeepStaged({0, 8}, ring.data()).status == MapStatus::kOk);
  // Later bytes take the place of earlier ones.
  FillPattern(std::span(ring).first(kSmallPage), 6, 77);
  REQUIRE(rig.placement().KeepStaged({6, 1}, ring.data()).status == MapStatus::kOk);
  CHECK(Parked(forgotten));
  CHECK(Parked(kept));
  CHECK(PresentPages(staged.region.bytes().data(), kPages * kSmallPage) == 0);

  REQUIRE(rig.placement().Forget({5, 1}));
  CHECK(rig.placement().MapLanded({0, 5}).pages_done == 5);
  CHECK(rig.placement().MapLanded({6, 2}).pages_done == 2);
  REQUIRE(Done(kept));
  CHECK(HasPattern(kept.get(), 6, 77));
  for (const PageIndex page : {0u, 1u, 4u, 7u}) CHECK(HasPattern(rig.GuestPage(page), page));
  CHECK(Parked(forgotten));
  rig.Land(5, 1, 78);
  CHECK(rig.placement().MapDemanded(5, 1).status == MapStatus::kOk);
  REQUIRE(Done(forgotten));
  CHECK(HasPattern(forgotten.get(), 5, 78));
  CHECK(PresentPages(staged.region.bytes().data(), kPages * kSmallPage) == 8);
}

TEST_CASE("direct and staged regions in one session", "[memory][staged][direct]") {
  Staged staged;
  auto shared = OwnedRegion::CreateShared("ram", 16 * kSmallPage);
  REQUIRE(shared.ok());
  auto created = MemoryRig::Create({shared->region(), staged.region.region()});
  REQUIRE(created.ok());
  MemoryRig& rig = **created;
  CHECK(rig.placement().direct(15));
  CHECK_FALSE(rig.placement().direct(16));
  for (const PageIndex page : {15u, 16u}) {
    auto seen = rig.Read(page);
    const auto events = rig.WaitForEvents(1);
    REQUIRE(events.size() == 1);
    CHECK(events[0].run == PageRun{page, 1});
    rig.Land(page);
    CHECK(rig.placement().MapDemanded(page, 0).status == MapStatus::kOk);
    REQUIRE(Done(seen));
    CHECK(HasPattern(seen.get(), page));
  }
}

}  // namespace
}  // namespace farfault
