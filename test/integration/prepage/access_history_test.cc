#include "lib/prepage/access_history.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <string>
#include <vector>

#include "test/integration/prepage/tracked_memory.h"
#include "test/support/memory_machine.h"

namespace farfault {
namespace {

std::unique_ptr<AccessHistory> MakeHistory(const GuestMemory& memory) {
  auto history = AccessHistory::Create(memory);
  if (history.status().code() == absl::StatusCode::kUnimplemented) SkipFor(std::string(history.status().message()));
  INFO(history.status());
  REQUIRE(history.ok());
  return *std::move(history);
}

std::map<PageIndex, std::uint32_t> Heat(const AccessHistory& history) {
  std::map<PageIndex, std::uint32_t> heat;
  for (const PageHeat& page : history.HottestFirst(SIZE_MAX)) heat[page.page] = page.rounds_touched;
  return heat;
}

std::uint64_t Read(const TestRegion& region, PageIndex page) { return region.counter(page).load(); }

TEST_CASE("under a tracker exactly the touched pages are counted, reads and writes alike", "[access_history]") {
  const TestRegion region(MemoryKind::kShared, 4096);
  for (PageIndex page = 0; page < 4096; ++page) region.counter(page) = page;
  const auto tracker = MakeTracker(region.memory());
  REQUIRE(tracker->Start().ok());
  const auto history = MakeHistory(region.memory());
  REQUIRE(history->watches_any());
  std::uint64_t sum = 0;
  for (int round = 0; round < 3; ++round) {
    REQUIRE(history->BeginRound().ok());
    sum += Read(region, 100);
    if (round > 0) region.counter(2000) = 2000;
    if (round == 2) sum += Read(region, 3000) + Read(region, 3001);
    REQUIRE(history->EndRound().ok());
  }
  REQUIRE(sum == 300 + 3000 + 3001);
  REQUIRE(history->rounds() == 3);
  REQUIRE(Heat(*history) == std::map<PageIndex, std::uint32_t>{{100, 3}, {2000, 2}, {3000, 1}, {3001, 1}});
  const std::vector<PageHeat> hottest = history->HottestFirst(2);
  REQUIRE(hottest.size() == 2);
  REQUIRE(hottest[0].page == 100);
  REQUIRE(hottest[1].page == 2000);
  for (PageIndex page = 0; page < 4096; ++page) REQUIRE(Read(region, page) == page);
}

TEST_CASE("without a tracker no touched page is missed", "[access_history]") {
  const TestRegion region(MemoryKind::kShared, 4096);
  for (PageIndex page = 0; page < 4096; ++page) region.counter(page) = 1;
  const auto history = MakeHistory(region.memory());
  REQUIRE(history->BeginRound().ok());
  Read(region, 77);
  region.counter(1000) = 3;
  REQUIRE(history->EndRound().ok());
  const auto heat = Heat(*history);
  REQUIRE(heat.contains(77));
  REQUIRE(heat.contains(1000));
  // The kernel maps around a fault, but not far.
  REQUIRE(heat.size() <= 2ul * 16);
}

TEST_CASE("marks of written pages survive a round, also of whole chunks", "[access_history]") {
  const TestRegion region(MemoryKind::kShared, 4096);
  for (PageIndex page = 0; page < 4096; ++page) region.counter(page) = 1;
  const auto tracker = MakeTracker(region.memory());
  const auto history = MakeHistory(region.memory());
  REQUIRE(tracker->Start().ok());
  region.counter(3) = 2;
  for (PageIndex page = 1024; page < 2048; ++page) region.counter(page) = 2;
  REQUIRE(history->BeginRound().ok());
  REQUIRE(history->EndRound().ok());
  REQUIRE(Collect(*tracker) == std::vector<PageRun>{{3, 1}, {1024, 1024}});
  // And unwritten pages do not seem written when they are dropped and read again.
  REQUIRE(history->BeginRound().ok());
  for (PageIndex page = 0; page < 4096; ++page) REQUIRE(Read(region, page) > 0);
  REQUIRE(history->EndRound().ok());
  REQUIRE(Collect(*tracker).empty());
}

TEST_CASE("private and huge regions keep their bytes and have only the history that is fed to them",
          "[access_history]") {
  const TestRegion anonymous(MemoryKind::kAnonymous, 64, "anonymous");
  const TestRegion shared(MemoryKind::kShared, 64, "shared");
  const auto memory = GuestMemory::Create({anonymous.region(), shared.region()});
  REQUIRE(memory.ok());
  for (PageIndex page = 0; page < 64; ++page) anonymous.counter(page) = page + 1;
  const auto history = MakeHistory(*memory);
  REQUIRE(history->BeginRound().ok());
  for (PageIndex page = 0; page < 64; ++page) REQUIRE(Read(anonymous, page) == page + 1);
  REQUIRE(history->EndRound().ok());
  REQUIRE(Heat(*history).empty());
  history->NoteTouched(std::vector<PageRun>{{5, 2}, {70, 1}});
  REQUIRE(Heat(*history) == std::map<PageIndex, std::uint32_t>{{5, 1}, {6, 1}, {70, 1}});
  REQUIRE(history->size_bytes() == 64);
  REQUIRE_FALSE(MakeHistory(anonymous.memory())->watches_any());
}

TEST_CASE("a private mapping of a file is refused before it loses bytes", "[access_history]") {
  RequireDirtyTracking();
  const TestRegion file(MemoryKind::kShared, 16, "image");
  void* mapped = mmap(nullptr, 16 * kSmallPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.region().fd, 0);
  REQUIRE(mapped != MAP_FAILED);
  Region region = file.region();
  region.base = static_cast<std::byte*>(mapped);
  const auto memory = GuestMemory::Create({region});
  REQUIRE(memory.ok());
  const absl::Status status = AccessHistory::Create(*memory).status();
  REQUIRE(status.code() == absl::StatusCode::kInvalidArgument);
  REQUIRE(std::string(status.message()).find("'image'") != std::string::npos);
  REQUIRE(munmap(mapped, 16 * kSmallPage) == 0);
}

TEST_CASE("locked memory cannot be watched, and says so", "[access_history]") {
  const TestRegion region(MemoryKind::kShared, 16, "locked");
  // Not mlock(): the sanitizers turn that into nothing.
  if (syscall(SYS_mlock, region.region().base, region.region().length) != 0) SkipFor("mlock is not allowed here");
  const auto history = MakeHistory(region.memory());
  const absl::Status status = history->BeginRound();
  REQUIRE(status.code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(std::string(status.message()).find("'locked'") != std::string::npos);
  REQUIRE(syscall(SYS_munlock, region.region().base, region.region().length) == 0);
  REQUIRE(history->BeginRound().ok());
}

}  // namespace
}  // namespace farfault
