#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/util/mapping.h"
#include "lib/util/unique_fd.h"
#include "test/integration/memory/direct_memory.h"
#include "test/support/fill.h"
#include "test/support/future.h"
#include "test/support/memory_machine.h"
#include "test/support/memory_rig.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kPages = Direct::kPages;

TEST_CASE("zeros are zeros, whether the file has the page or not", "[memory][direct]") {
  Direct direct;
  const std::vector<PageRun> holes{{16, 16}};
  MemoryRig& rig = direct.Arm({.holes = holes});
  // Memory in the file only where it was populated.
  REQUIRE(PresentPages(rig.transport().registrations()[0].memory.data(), kPages * kSmallPage) == kPages - 16);
  rig.Land(15);
  rig.Land(20);
  auto missing = rig.Read(18);
  auto minor = rig.Read(15);
  REQUIRE(rig.WaitForEvents(2).size() == 2);
  const MapResult result = rig.placement().MapZeros({14, 10});
  CHECK(result.status == MapStatus::kOk);
  CHECK(result.pages_done == 10);
  REQUIRE(Done(missing));
  REQUIRE(Done(minor));
  CHECK(AllZero(missing.get()));
  CHECK(AllZero(minor.get()));
  for (PageIndex page = 14; page < 24; ++page) CHECK(AllZero(rig.GuestPage(page)));
  CHECK(rig.Quiet());
}

TEST_CASE("a page that has vanished from the file is a failure, never zeros", "[memory][direct]") {
  Direct direct;
  MemoryRig& rig = direct.Arm();
  REQUIRE(fallocate(direct.region.region().fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * kSmallPage,
                    kSmallPage) == 0);
  for (const PageIndex page : {3u, 4u, 6u, 7u}) rig.Land(page);
  const MapResult result = rig.placement().MapLanded({3, 5});
  CHECK(result.status == MapStatus::kFailed);
  CHECK(result.pages_done == 2);
  CHECK_THAT(
      std::string(rig.placement().failure().message()),
      ContainsSubstring("region 'ram': userfaultfd cannot map the page at offset 0x5000 (a page is not in the file "
                        "any more: was a hole punched into it, or the file truncated?)"));
}

TEST_CASE("a mapped page that the guest punched out of its file reads as zeros, another one keeps its bytes",
          "[memory][direct]") {
  Direct direct;
  MemoryRig& rig = direct.Arm();
  for (PageIndex page = 0; page < 8; ++page) rig.Land(page);
  REQUIRE(rig.placement().MapLanded({0, 8}).status == MapStatus::kOk);
  REQUIRE(fallocate(direct.region.region().fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * kSmallPage,
                    kSmallPage) == 0);
  REQUIRE(madvise(rig.Guest(6), kSmallPage, MADV_DONTNEED) == 0);
  auto punched = rig.Read(5);
  auto unmapped = rig.Read(6);
  REQUIRE(rig.WaitForEvents(2).size() == 2);
  CHECK(rig.placement().MapAgain(5).status == MapStatus::kOk);
  CHECK(rig.placement().MapAgain(6).status == MapStatus::kOk);
  REQUIRE(Done(punched));
  REQUIRE(Done(unmapped));
  CHECK(AllZero(punched.get()));
  CHECK(HasPattern(unmapped.get(), 6));
  CHECK(rig.placement().MapAgain(6).status == MapStatus::kOk);
}

TEST_CASE("holes that nobody touched are zeros after disarming, whatever landed in them", "[memory][direct]") {
  Direct direct;
  MemoryRig& rig = direct.Arm();
  for (PageIndex page = 0; page < kPages; ++page) rig.Land(page);
  REQUIRE(rig.placement().MapLanded({0, 30}).status == MapStatus::kOk);
  REQUIRE(rig.placement().MapLanded({40, kPages - 40}).status == MapStatus::kOk);
  const std::vector<PageRun> holes{{30, 10}};
  REQUIRE(rig.placement().Disarm(holes).ok());
  for (PageIndex page = 0; page < kPages; ++page) {
    CAPTURE(page);
    const bool hole = page >= 30 && page < 40;
    CHECK((hole ? AllZero(rig.GuestPage(page)) : HasPattern(rig.GuestPage(page), page)));
  }
  // A fault that was read just before is dealt with afterwards.
  CHECK(rig.placement().MapZeros({30, 10}).pages_done == 10);
  CHECK(rig.placement().MapAgain(3).status == MapStatus::kOk);
  CHECK(HasPattern(rig.GuestPage(3), 3));
}

TEST_CASE("holes of a file that may not be punched are zeros all the same", "[memory][direct]") {
  RequireUserfaultfd();
  const UniqueFd fd(memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(fd.valid());
  REQUIRE(ftruncate(fd.get(), kPages * kSmallPage) == 0);
  auto mapped = Mapping::Map(
      {.length = kPages * kSmallPage, .protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = fd.get()});
  REQUIRE(mapped.ok());
  auto rig = MemoryRig::Create({{.name = "ram", .base = mapped->data(), .length = mapped->size(), .fd = fd.get()}});
  REQUIRE(rig.ok());
  for (PageIndex page = 0; page < kPages; ++page) (*rig)->Land(page);
  REQUIRE((*rig)->placement().MapLanded({0, 30}).status == MapStatus::kOk);
  REQUIRE(fcntl(fd.get(), F_ADD_SEALS, 0x0010 /* F_SEAL_FUTURE_WRITE */) == 0);
  REQUIRE(fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kSmallPage) != 0);
  const std::vector<PageRun> holes{{30, kPages - 30}};
  REQUIRE((*rig)->placement().Disarm(holes).ok());
  CHECK(HasPattern((*rig)->GuestPage(29), 29));
  for (PageIndex page = 30; page < kPages; ++page) CHECK(AllZero((*rig)->GuestPage(page)));
}

}  // namespace
}  // namespace farfault
