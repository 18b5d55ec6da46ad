#include <sys/mman.h>
#include <sys/prctl.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <optional>

#include "lib/prepage/pagemap.h"
#include "lib/util/mapping.h"
#include "test/support/fill.h"
#include "test/support/future.h"
#include "test/support/memory_machine.h"
#include "test/support/memory_rig.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kChunkPages = kHugePage / kSmallPage;

void RequireUserfaultfd() {
  if (const absl::Status status = UserfaultfdAvailable(); !status.ok()) SkipFor(std::string(status.message()));
}

HugePagePool RequireHugePages(std::uint64_t pages) {
  auto pool = HugePagePool::Provide(pages);
  if (!pool.ok()) SkipFor(std::string(pool.status().message()));
  return *std::move(pool);
}

// Memory on a tmpfs that allows huge pages, or not.
struct TmpfsMemory {
  TmpfsMemory(const std::string& options, std::uint64_t length) {
    RequireUserfaultfd();
    auto mounted = TmpfsMount::Create(options);
    if (!mounted.ok()) SkipFor(std::string(mounted.status().message()));
    mount.emplace(*std::move(mounted));
    auto created = mount->CreateFile(length);
    REQUIRE(created.ok());
    fd = *std::move(created);
    auto mapped = Mapping::Map({.length = length,
                                .protection = PROT_READ | PROT_WRITE,
                                .flags = MAP_SHARED,
                                .fd = fd.get(),
                                .alignment = kHugePage});
    REQUIRE(mapped.ok());
    mapping = *std::move(mapped);
  }

  Region region() const { return {.name = "ram", .base = mapping.data(), .length = mapping.size(), .fd = fd.get()}; }
  std::uint64_t huge_kilobytes() const { return SmapsKilobytes(mapping.data(), mapping.size(), "ShmemPmdMapped"); }

  std::optional<TmpfsMount> mount;
  UniqueFd fd;
  Mapping mapping;
};

TEST_CASE("hugetlbfs: whole pages of 2 MiB, by fault, as a run and as zeros", "[memory][huge]") {
  RequireUserfaultfd();
  const HugePagePool pool = RequireHugePages(8);
  const bool shared = GENERATE(true, false);
  CAPTURE(shared);
  const OwnedRegion::Placement huge{.page_size = kHugePage};
  auto region = shared ? OwnedRegion::CreateShared("huge", 4 * kHugePage, huge)
                       : OwnedRegion::CreateAnonymous("huge", 4 * kHugePage, huge);
  INFO(region.status().ToString());
  REQUIRE(region.ok());
  const GuestPlacementOptions options{.demand_slots = 2, .staging_bytes = kHugePage};
  auto created = MemoryRig::Create({region->region()}, options);
  INFO(created.status().ToString());
  REQUIRE(created.ok());
  MemoryRig& rig = **created;
  CHECK(rig.placement().chunk_pages(0) == 0);
  CHECK(rig.hints().empty());

  auto seen = rig.Read(1);
  const auto events = rig.WaitForEvents(1);
  REQUIRE(events.size() == 1);
  CHECK(events[0].run == PageRun{1, 1});
  rig.Land(1, 1);
  CHECK(rig.placement().MapDemanded(1, 1).status == MapStatus::kOk);
  REQUIRE(Done(seen));
  CHECK(HasPattern(seen.get(), 1));

  if (shared) {
    for (PageIndex page = 0; page < 3; ++page) rig.Land(page);
    CHECK(rig.placement().MapLanded({0, 3}).pages_done == 3);
  } else {
    rig.Land(0, 0);
    CHECK(rig.placement().KeepStaged({2, 1}, rig.placement().DemandFrame(0, 0).address).status == MapStatus::kOk);
    CHECK(rig.placement().MapStaged({0, 1}, rig.placement().DemandFrame(0, 0).address).status == MapStatus::kOk);
    CHECK(rig.placement().MapLanded({2, 1}).status == MapStatus::kOk);
    CHECK(HasPattern(rig.GuestPage(2), 0));
  }
  CHECK(HasPattern(rig.GuestPage(0), 0));

  // A direct page has bytes in it by now, which nobody has seen.
  rig.Land(3, 0);
  auto zeros = rig.Read(3);
  REQUIRE(rig.WaitForEvents(1).size() == 1);
  CHECK(rig.placement().MapZeros({3, 1}).status == MapStatus::kOk);
  REQUIRE(Done(zeros));
  CHECK(AllZero(zeros.get()));
  CHECK(HasPattern(rig.GuestPage(1), 1));
}

// Which chunks are on huge folios is seen by it.
void RequirePagemapScan() {
  if (const absl::Status known = Pagemap::OpenSelf().status(); !known.ok()) SkipFor(known.ToString());
}

TEST_CASE("a whole chunk becomes one huge mapping while its neighbours go on faulting", "[memory][huge]") {
  TmpfsMemory memory("huge=advise", 4 * kHugePage);
  auto created = MemoryRig::Create({memory.region()});
  INFO(created.status().ToString());
  REQUIRE(created.ok());
  MemoryRig& rig = **created;
  if (rig.placement().chunk_pages(0) == 0) SkipFor("no huge folios: " + (rig.hints().empty() ? "" : rig.hints()[0]));
  REQUIRE(rig.placement().chunk_pages(0) == kChunkPages);
  CHECK(memory.huge_kilobytes() == 0);

  // Two pages of the chunk have been mapped alone, one of them by a fault, and a thread waits in a third.
  for (PageIndex page = kChunkPages; page < 2 * kChunkPages; ++page) rig.Land(page);
  const PageIndex touched = kChunkPages + 100;
  auto seen = rig.Read(touched);
  REQUIRE(rig.WaitForEvents(1).size() == 1);
  CHECK(rig.placement().MapLanded({touched, 2}).status == MapStatus::kOk);
  REQUIRE(Done(seen));
  auto waiting = rig.Read(kChunkPages + 300);
  auto elsewhere = rig.Read(5);
  REQUIRE(rig.WaitForEvents(2).size() == 2);

  REQUIRE(rig.placement().TryCollapse({kChunkPages, kChunkPages}));
  CHECK(memory.huge_kilobytes() == kHugePage / 1024);
  REQUIRE(Done(waiting));
  CHECK(HasPattern(waiting.get(), kChunkPages + 300));
  for (PageIndex page = kChunkPages; page < 2 * kChunkPages; ++page) {
    if (!HasPattern(rig.GuestPage(page), page)) FAIL("page " << page << " differs");
  }
  CHECK(Parked(elsewhere));
  rig.Land(5);
  CHECK(rig.placement().MapDemanded(5, 0).status == MapStatus::kOk);
  REQUIRE(Done(elsewhere));
  CHECK(HasPattern(elsewhere.get(), 5));
  CHECK(rig.Quiet());
}

// As memfd and tmpfs are unless somebody changes it.
TEST_CASE("a file that allows no huge pages by itself gets them all the same", "[memory][huge]") {
  RequirePagemapScan();
  TmpfsMemory memory("huge=never", 3 * kHugePage);
  // Bytes that the file holds before belong to whoever put them there.
  FillPattern({memory.mapping.data() + kHugePage + kSmallPage, kSmallPage}, 7);
  auto created = MemoryRig::Create({memory.region()});
  REQUIRE(created.ok());
  MemoryRig& rig = **created;
  INFO((rig.hints().empty() ? "" : rig.hints()[0]));
  REQUIRE(rig.placement().chunk_pages(0) == kChunkPages);
  CHECK(rig.placement().MapLanded({kChunkPages + 1, 1}).status == MapStatus::kOk);
  CHECK(HasPattern(rig.GuestPage(kChunkPages + 1), 7));
  for (PageIndex page = 0; page < kChunkPages; ++page) rig.Land(page);
  CHECK(rig.placement().TryCollapse({0, kChunkPages}));
  CHECK(memory.huge_kilobytes() == kHugePage / 1024);
  CHECK(HasPattern(rig.GuestPage(kChunkPages - 1), kChunkPages - 1));
}

TEST_CASE("a process without huge pages keeps small ones, and a hint says why", "[memory][huge]") {
  RequirePagemapScan();
  TmpfsMemory memory("huge=always", 2 * kHugePage);
  REQUIRE(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
  auto created = MemoryRig::Create({memory.region()});
  REQUIRE(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0);
  REQUIRE(created.ok());
  MemoryRig& rig = **created;
  CHECK(rig.placement().chunk_pages(0) == 0);
  REQUIRE(rig.hints().size() == 1);
  CHECK_THAT(rig.hints()[0], ContainsSubstring("'ram'") && ContainsSubstring("PR_SET_THP_DISABLE"));
  for (PageIndex page = 0; page < kChunkPages; ++page) rig.Land(page);
  CHECK(rig.placement().MapLanded({0, kChunkPages}).status == MapStatus::kOk);
  CHECK(memory.huge_kilobytes() == 0);
  CHECK(HasPattern(rig.GuestPage(kChunkPages - 1), kChunkPages - 1));
}

TEST_CASE("no chunks when they are not wanted or the region is not aligned", "[memory][huge]") {
  TmpfsMemory memory("huge=advise", 2 * kHugePage);
  {
    auto created = MemoryRig::Create({memory.region()}, {.collapse_huge_pages = false});
    REQUIRE(created.ok());
    CHECK((*created)->placement().chunk_pages(0) == 0);
    CHECK((*created)->hints().empty());
  }
  Region shifted = memory.region();
  shifted.base += kSmallPage;
  shifted.file_offset = kSmallPage;
  shifted.length = kHugePage;
  auto created = MemoryRig::Create({shifted});
  REQUIRE(created.ok());
  CHECK((*created)->placement().chunk_pages(0) == 0);
  REQUIRE((*created)->hints().size() == 1);
  CHECK_THAT((*created)->hints()[0], ContainsSubstring("multiples of 2 MiB"));
}

TEST_CASE("anonymous memory is collapsed once it is resident, holes left out", "[memory][huge][staged]") {
  RequireUserfaultfd();
  auto region = OwnedRegion::CreateAnonymous("heap", 3 * kHugePage);
  REQUIRE(region.ok());
  auto created = MemoryRig::Create({region->region()});
  REQUIRE(created.ok());
  MemoryRig& rig = **created;
  for (PageIndex page = 0; page < 2 * kChunkPages; ++page) {
    rig.Land(page);
    REQUIRE(rig.placement().MapDemanded(page, 0).status == MapStatus::kOk);
  }
  const auto huge_kilobytes = [&] {
    return SmapsKilobytes(region->bytes().data(), region->bytes().size(), "AnonHugePages");
  };
  CHECK_FALSE(rig.placement().CollapseSome());
  CHECK(huge_kilobytes() == 0);
  REQUIRE(rig.placement().Disarm().ok());
  std::size_t slices = 0;
  while (rig.placement().CollapseSome()) ++slices;
  CHECK(slices == 3);
  CHECK(huge_kilobytes() == 2 * kHugePage / 1024);
  for (PageIndex page = 0; page < 2 * kChunkPages; ++page) {
    if (!HasPattern(rig.GuestPage(page), page)) FAIL("page " << page << " differs");
  }
  CHECK(PresentPages(rig.Guest(2 * kChunkPages), kHugePage) == 0);
}

}  // namespace
}  // namespace farfault
