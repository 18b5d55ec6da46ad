#include "lib/prepage/holes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "lib/util/unique_fd.h"
#include "test/integration/prepage/tracked_memory.h"
#include "test/support/memory_machine.h"

namespace farfault {
namespace {

std::vector<PageRun> Holes(const GuestMemory& memory) {
  const auto holes = FindHoles(memory);
  INFO(holes.status());
  REQUIRE(holes.ok());
  REQUIRE(Ascending(*holes));
  return *holes;
}

TEST_CASE("holes are what was never written", "[holes]") {
  RequireDirtyTracking();
  const MemoryKind kind = GENERATE(MemoryKind::kShared, MemoryKind::kAnonymous, MemoryKind::kHugetlb);
  CAPTURE(MemoryKindName(kind));
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const TestRegion region(kind, kind == MemoryKind::kHugetlb ? 8 : 2000);
    REQUIRE(Holes(region.memory()) == std::vector<PageRun>{{0, region.pages()}});
    std::set<PageIndex> expected;
    for (PageIndex page = 0; page < region.pages(); ++page) {
      if (random() % 2 == 0) {
        region.counter(page) = 1;
      } else {
        expected.insert(page);
      }
    }
    REQUIRE(PagesOf(Holes(region.memory())) == expected);
    for (PageIndex page = 0; page < region.pages(); ++page) region.counter(page) = 1;
    REQUIRE(Holes(region.memory()).empty());
  }
}

TEST_CASE("discarded pages are holes again", "[holes]") {
  RequireDirtyTracking();
  const MemoryKind kind = GENERATE(MemoryKind::kShared, MemoryKind::kAnonymous, MemoryKind::kHugetlb);
  CAPTURE(MemoryKindName(kind));
  const TestRegion region(kind, 8);
  for (PageIndex page = 0; page < 8; ++page) region.counter(page) = 1;
  const int advice = region.region().fd >= 0 ? MADV_REMOVE : MADV_DONTNEED;
  REQUIRE(madvise(region.page(2), 3 * region.region().page_size, advice) == 0);
  REQUIRE(Holes(region.memory()) == std::vector<PageRun>{{2, 3}});
}

TEST_CASE("private pages that were only read are holes where the kernel maps its zero page", "[holes]") {
  RequireDirtyTracking();
  const TestRegion region(MemoryKind::kAnonymous, 4000);
  region.counter(3) = 1;
  std::uint64_t sum = 0;
  for (PageIndex page = 0; page < 4000; ++page) sum += region.counter(page);
  REQUIRE(sum == 1);
  // Some kernels answer a read with a page of its own, which cannot be told from one that was written.
  const bool zero_page = SmapsKilobytes(region.region().base, region.region().length, "Anonymous") == 4;
  REQUIRE(Holes(region.memory()) == (zero_page ? std::vector<PageRun>{{0, 3}, {4, 3996}} : std::vector<PageRun>{}));
}

TEST_CASE("under a tracker no written page is called a hole", "[holes]") {
  const MemoryKind kind = GENERATE(MemoryKind::kShared, MemoryKind::kAnonymous, MemoryKind::kHugetlb);
  CAPTURE(MemoryKindName(kind));
  const TestRegion region(kind, 8);
  region.counter(1) = 1;
  const auto tracker = MakeTracker(region.memory());
  REQUIRE(tracker->Start().ok());
  region.counter(6) = 1;
  const std::set<PageIndex> holes = PagesOf(Holes(region.memory()));
  REQUIRE_FALSE(holes.contains(1));
  REQUIRE_FALSE(holes.contains(6));
  REQUIRE(tracker->Stop().ok());
  REQUIRE(Holes(region.memory()) == std::vector<PageRun>{{0, 1}, {2, 4}, {7, 1}});
}

TEST_CASE("huge pages that are populated meanwhile do not turn the rest into data", "[holes]") {
  RequireDirtyTracking();
  const TestRegion region(MemoryKind::kHugetlb, 8);
  const GuestMemory memory = region.memory();
  // Page 0 comes and goes all the time.
  std::atomic<bool> over = false;
  std::thread guest([&] {
    while (!over) {
      region.counter(0) = 1;
      static_cast<void>(madvise(region.page(0), kHugePage, MADV_REMOVE));
    }
  });
  const std::vector<PageRun> stretches = {{1, 2}, {4, 1}, {6, 2}};
  int wrong = 0;
  // How often page 0 came in the middle of a look, which then sleeps: where that is frequent, few looks will do.
  int disturbed = 0;
  for (int look = 0; look < 50000 && disturbed < 50; ++look) {
    const auto doubted = FindHolesIn(memory, stretches, WhileItGrows::kData);
    if (doubted.ok() && *doubted != stretches) ++disturbed;
    const auto holes = FindHolesIn(memory, stretches, WhileItGrows::kHoles);
    if (!holes.ok() || *holes != stretches) ++wrong;
  }
  over = true;
  guest.join();
  CHECK(wrong == 0);
  if (disturbed == 0) WARN("no look was disturbed: this run says nothing");
}

TEST_CASE("huge pages that somebody else populated are not called holes", "[holes]") {
  const TestRegion region(MemoryKind::kHugetlb, 4);
  region.counter(0) = 1;
  void* other = mmap(nullptr, region.region().length, PROT_READ | PROT_WRITE, MAP_SHARED, region.region().fd, 0);
  REQUIRE(other != MAP_FAILED);
  static_cast<std::byte*>(other)[2 * kHugePage] = std::byte{1};
  REQUIRE(Holes(region.memory()).empty());
  REQUIRE(munmap(other, region.region().length) == 0);
}

TEST_CASE("regions in the middle of a file, and the file's offset stays", "[holes]") {
  const TestRegion file(MemoryKind::kShared, 100, "whole");
  Region first = file.region();
  first.name = "first";
  first.length = 20 * kSmallPage;
  Region second = file.region();
  second.name = "second";
  second.base += 40 * kSmallPage;
  second.length = 30 * kSmallPage;
  second.file_offset = 40 * kSmallPage;
  const auto memory = GuestMemory::Create({first, second});
  REQUIRE(memory.ok());
  for (const PageIndex page : {19u, 30u, 40u, 50u, 51u, 99u}) file.counter(page) = 1;
  REQUIRE(lseek(file.region().fd, 12345, SEEK_SET) == 12345);
  REQUIRE(Holes(*memory) == std::vector<PageRun>{{0, 19}, {21, 9}, {32, 18}});
  REQUIRE(lseek(file.region().fd, 0, SEEK_CUR) == 12345);
  const auto large = FindLargeHoles(*memory, 18 * kSmallPage);
  REQUIRE(large.ok());
  REQUIRE(*large == std::vector<PageRun>{{0, 19}, {32, 18}});
}

TEST_CASE("a file's page that holds any byte of data is no hole, nor is its tail", "[holes]") {
  char path[] = "/tmp/farfault-holes-XXXXXX";
  const UniqueFd fd(mkstemp(path));
  REQUIRE(fd.valid());
  REQUIRE(ftruncate(fd.get(), 64 * kSmallPage + 100) == 0);
  REQUIRE(pwrite(fd.get(), "x", 1, 10 * kSmallPage + 7) == 1);
  REQUIRE(pwrite(fd.get(), "x", 1, 64 * kSmallPage + 50) == 1);
  const auto owned = OwnedRegion::OpenFile(path);
  REQUIRE(unlink(path) == 0);
  INFO(owned.status());
  REQUIRE(owned.ok());
  const auto memory = GuestMemory::Create({owned->region()});
  REQUIRE(memory.ok());
  const std::set<PageIndex> holes = PagesOf(Holes(*memory));
  REQUIRE_FALSE(holes.contains(10));
  REQUIRE_FALSE(holes.contains(64));
  // What has been cut off is no hole either.
  REQUIRE(ftruncate(fd.get(), 20 * kSmallPage) == 0);
  const absl::Status cut = FindHoles(*memory).status();
  INFO(cut);
  REQUIRE(absl::IsInvalidArgument(cut));
  REQUIRE(cut.message().find("has become shorter") != std::string::npos);
}

}  // namespace
}  // namespace farfault
