#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>
#include <vector>

#include "test/support/fill.h"
#include "test/support/future.h"
#include "test/support/memory_machine.h"
#include "test/support/memory_rig.h"

// Where registering pins memory, holes have no frames; what comes for them all the same is staged.
namespace farfault {
namespace {

constexpr std::uint64_t kPages = 64;
constexpr PageRun kHole{10, 20};

std::uint64_t PagesOfFile(int fd) {
  struct stat about{};
  REQUIRE(fstat(fd, &about) == 0);
  return static_cast<std::uint64_t>(about.st_blocks) * 512 / kSmallPage;
}

struct Holey {
  Holey() {
    RequireUserfaultfd();
    auto made = OwnedRegion::CreateShared("ram", kPages * kSmallPage);
    REQUIRE(made.ok());
    region = *std::move(made);
  }
  MemoryRig& Arm(const std::vector<PageRun>& holes) {
    auto made = MemoryRig::Create({region.region()}, {.push_channels = 2, .collapse_huge_pages = false, .holes = holes},
                                  0, true);
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    rig = *std::move(made);
    return *rig;
  }

  OwnedRegion region;
  std::unique_ptr<MemoryRig> rig;
};

TEST_CASE("holes are neither populated nor registered, and the rest is open for writing only", "[memory][holes]") {
  Holey holey;
  MemoryRig& rig = holey.Arm({kHole});
  const std::vector<Extent> frames = rig.placement().frames();
  REQUIRE(frames.size() == 2);
  CHECK(frames[0].pages == PageRun{0, 10});
  CHECK(frames[1].pages == PageRun{30, 34});
  CHECK(frames[0].key != frames[1].key);
  std::uint64_t open_to_peer = 0;
  for (const LocalTransport::Registration& registered : rig.transport().registrations()) {
    if (registered.access == RemoteAccess::kNone) continue;
    CHECK(registered.access == RemoteAccess::kWrite);
    if (registered.memory.size() < kPages * kSmallPage) open_to_peer += registered.memory.size();
  }
  CHECK(open_to_peer == 44 * kSmallPage);
  // The file has what has frames.
  CHECK(PagesOfFile(holey.region.region().fd) == 44);
  CHECK(rig.placement().staging_memory().size() == 2);
  CHECK(rig.placement().direct(9));
  CHECK_FALSE(rig.placement().direct(10));

  rig.placement().RevokeFrames();
  CHECK(rig.transport().registrations().empty());
}

TEST_CASE("pages without a frame come by way of the staging ring or a demand slot", "[memory][holes]") {
  Holey holey;
  MemoryRig& rig = holey.Arm({kHole});
  auto demanded = rig.Read(12);
  auto pushed = rig.Read(13);
  auto zeros = rig.Read(14);
  REQUIRE(rig.WaitForEvents(3).size() == 3);
  rig.Land(12, 5);
  CHECK(rig.placement().MapDemanded(12, 5).status == MapStatus::kOk);
  std::vector<std::byte> bytes(kSmallPage);
  FillPattern(bytes, 13);
  CHECK(rig.placement().MapStaged({13, 1}, bytes.data()).status == MapStatus::kOk);
  CHECK(rig.placement().MapZeros({14, 1}).status == MapStatus::kOk);
  REQUIRE((Done(demanded) && Done(pushed) && Done(zeros)));
  CHECK(HasPattern(demanded.get(), 12));
  CHECK(HasPattern(pushed.get(), 13));
  CHECK(AllZero(zeros.get()));
  // Two are there already: what a guest may have written must not be overwritten unnoticed.
  CHECK(rig.placement().MapStaged({13, 1}, bytes.data()).status == MapStatus::kFailed);
}

TEST_CASE("a page without a frame is kept unseen, can be forgotten, and comes again", "[memory][holes]") {
  Holey holey;
  MemoryRig& rig = holey.Arm({kHole});
  auto seen = rig.Read(20);
  auto other = rig.Read(21);
  REQUIRE(rig.WaitForEvents(2).size() == 2);
  std::vector<std::byte> bytes(2 * kSmallPage);
  FillPattern(std::span(bytes).first(kSmallPage), 20, 1);
  FillPattern(std::span(bytes).subspan(kSmallPage), 21, 1);
  REQUIRE(rig.placement().KeepStaged({20, 2}, bytes.data()).status == MapStatus::kOk);
  // With direct neighbours, as a dirty set names them.
  REQUIRE(rig.placement().Forget({5, 16}));
  CHECK(Parked(seen));
  CHECK(Parked(other));
  REQUIRE(rig.placement().MapLanded({21, 1}).status == MapStatus::kOk);
  REQUIRE(Done(other));
  CHECK(HasPattern(other.get(), 21, 1));
  FillPattern(std::span(bytes).first(kSmallPage), 20, 2);
  REQUIRE(rig.placement().MapStaged({20, 1}, bytes.data()).status == MapStatus::kOk);
  REQUIRE(Done(seen));
  CHECK(HasPattern(seen.get(), 20, 2));
}

TEST_CASE("what is registered when registering fails is released", "[memory][holes]") {
  auto region = OwnedRegion::CreateShared("ram", 64 * kSmallPage);
  REQUIRE(region.ok());
  const std::vector<PageRun> holes = {{10, 1}, {20, 1}, {30, 1}};
  LocalTransport transport;
  transport.SayThatItPins();
  transport.FailWith(absl::ResourceExhaustedError("no more"), 2);
  auto memory = GuestMemory::Create({region->region()});
  REQUIRE(memory.ok());
  const auto placement = GuestPlacement::Create(*memory, PageLayout(*memory), transport, {.holes = holes});
  REQUIRE(absl::IsResourceExhausted(placement.status()));
  CHECK(placement.status().ToString().find("no more") != std::string::npos);
  CHECK(placement.status().ToString().find(std::to_string(61 * kSmallPage)) != std::string::npos);
  CHECK(transport.registrations().empty());
}

}  // namespace
}  // namespace farfault
