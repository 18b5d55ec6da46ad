#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <vector>

#include "farfault/farfault.h"
#include "lib/page/guest_placement.h"
#include "lib/page/populate.h"
#include "lib/util/mapping.h"
#include "lib/util/memory_budget.h"
#include "lib/util/whole_pages.h"
#include "test/support/local_transport.h"
#include "test/support/memory_machine.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kLength = 4u << 20;

absl::Status Place(const Region& region) {
  auto memory = GuestMemory::Create({region});
  if (!memory.ok()) return memory.status();
  LocalTransport transport;
  return GuestPlacement::Create(*memory, PageLayout(*memory), transport, {}).status();
}

absl::StatusOr<Mapping> MapFile(int fd) {
  return Mapping::Map(
      {.length = kLength, .protection = PROT_READ | PROT_WRITE, .flags = MAP_SHARED, .fd = fd, .alignment = kHugePage});
}

TEST_CASE("a tmpfs that is too small is an error before a page of it is used up", "[memory][bad]") {
  auto mount = TmpfsMount::Create("size=1m");
  if (!mount.ok()) SkipFor(std::string(mount.status().message()));
  auto fd = mount->CreateFile(kLength);
  REQUIRE(fd.ok());
  auto mapped = MapFile(fd->get());
  REQUIRE(mapped.ok());
  const Region region{.name = "ram", .base = mapped->data(), .length = kLength, .fd = fd->get()};
  absl::Status status = Place(region);
  INFO(status.ToString());
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()),
             ContainsSubstring("'ram' needs 4194304 more bytes") && ContainsSubstring("remount,size="));
  CHECK(SmapsKilobytes(mapped->data(), kLength, "Rss") == 0);

  // What is a hole at the source needs no room.
  const std::vector<PageRun> holes{{0, 900}};
  auto memory = GuestMemory::Create({region});
  REQUIRE(memory.ok());
  LocalTransport transport;
  const auto placement = GuestPlacement::Create(*memory, PageLayout(*memory), transport, {.holes = holes});
  INFO(placement.status().ToString());
  REQUIRE(placement.ok());
  // Nor may a peer's bytes land where there is none.
  CHECK_FALSE((*placement)->direct(899));
  CHECK((*placement)->direct(900));
}

TEST_CASE("memory that runs out halfway is an error and not a SIGBUS", "[memory][bad]") {
  auto mount = TmpfsMount::Create("size=5m");
  if (!mount.ok()) SkipFor(std::string(mount.status().message()));
  auto fd = mount->CreateFile(2 * kLength);
  REQUIRE(fd.ok());
  // The file's blocks elsewhere hide from the first estimate that the region's own part lacks room.
  auto elsewhere = Mapping::Map({.length = kLength,
                                 .protection = PROT_READ | PROT_WRITE,
                                 .flags = MAP_SHARED | MAP_POPULATE,
                                 .fd = fd->get(),
                                 .offset = kLength});
  REQUIRE(elsewhere.ok());
  auto mapped = MapFile(fd->get());
  REQUIRE(mapped.ok());
  const absl::Status status = Place({.name = "ram", .base = mapped->data(), .length = kLength, .fd = fd->get()});
  INFO(status.ToString());
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring("'ram'") &&
                                                ContainsSubstring("its tmpfs has 0 bytes left") &&
                                                ContainsSubstring("remount,size="));
}

TEST_CASE("a guest that is larger than what the machine has left is an error before a page is used up",
          "[memory][bad]") {
  const MemoryBudget budget = AvailableMemory();
  if (budget.bytes > std::uint64_t{1} << 44) SkipFor("this machine does not say how much memory it has left");
  // Holes all of it. Whatever ends meanwhile, twice as much is not there.
  const std::uint64_t length = RoundUpToPages(2 * budget.bytes + (1u << 30), kHugePage);
  auto owned = OwnedRegion::CreateShared("ram", length);
  INFO(owned.status().ToString());
  REQUIRE(owned.ok());
  const absl::Status status = Place(owned->region());
  INFO(status.ToString());
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()),
             ContainsSubstring("the guest needs " + std::to_string(length >> 20) + " MiB of memory, but only ") &&
                 ContainsSubstring("free some, raise the limit, or give the guest less memory"));
  CHECK(SmapsKilobytes(owned->bytes().data(), length, "Rss") == 0);
}

TEST_CASE("memory that cannot be populated although nothing is known to be lacking is an error with a remedy",
          "[memory][bad]") {
  auto owned = OwnedRegion::CreateShared("ram", kLength);
  REQUIRE(owned.ok());
  // Where the kernel finds no room for a page of a file it says the same as behind its end.
  REQUIRE(ftruncate(owned->region().fd, kLength / 2) == 0);
  const absl::Status status = Populate({{&owned->region(), owned->bytes()}}, 1, nullptr);
  INFO(status.ToString());
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()),
             ContainsSubstring("region 'ram': its memory cannot be populated") &&
                 ContainsSubstring(" MiB are left (") &&
                 ContainsSubstring("free some, raise the limit, or give the guest less memory"));
}

}  // namespace
}  // namespace farfault
