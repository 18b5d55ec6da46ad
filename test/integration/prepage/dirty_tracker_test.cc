#include "lib/prepage/dirty_tracker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "lib/util/unique_fd.h"
#include "test/integration/prepage/tracked_memory.h"

namespace farfault {
namespace {

using Set = std::set<PageIndex>;

constexpr auto kAllKinds = {MemoryKind::kShared, MemoryKind::kAnonymous, MemoryKind::kAnonymousHuge,
                            MemoryKind::kHugetlb};

std::uint64_t PagesFor(MemoryKind kind) { return kind == MemoryKind::kHugetlb ? 8 : 4096; }

void Populate(const TestRegion& region, PageIndex end) {
  for (PageIndex page = 0; page < end; ++page) region.counter(page) = 1;
}

void Discard(const TestRegion& region, PageIndex page) {
  const int advice = region.region().fd >= 0 ? MADV_REMOVE : MADV_DONTNEED;
  REQUIRE(madvise(region.page(page), region.region().page_size, advice) == 0);
}

TEST_CASE("exactly the written pages are collected, populated before or not", "[dirty_tracker]") {
  const MemoryKind kind = GENERATE(values(kAllKinds));
  CAPTURE(MemoryKindName(kind));
  const TestRegion region(kind, PagesFor(kind));
  const PageIndex half = region.pages() / 2;
  Populate(region, half);
  const auto tracker = MakeTracker(region.memory());
  REQUIRE(tracker->Start().ok());
  REQUIRE(Collect(*tracker).empty());

  std::uint64_t sum = 0;
  for (PageIndex page = 0; page < region.pages(); ++page) sum += region.counter(page);
  REQUIRE(sum == half);
  REQUIRE(Collect(*tracker).empty());

  region.counter(1) = 7;
  region.counter(half + 1) = 7;
  REQUIRE(PagesOf(Collect(*tracker)) == Set{1, half + 1});
  REQUIRE(Collect(*tracker).empty());
  // Armed again.
  region.counter(1) = 8;
  region.counter(0) = 8;
  REQUIRE(Collect(*tracker) == std::vector<PageRun>{{0, 2}});
}

TEST_CASE("writes by the kernel on the guest's behalf are seen", "[dirty_tracker]") {
  const MemoryKind kind = GENERATE(values(kAllKinds));
  CAPTURE(MemoryKindName(kind));
  const TestRegion region(kind, PagesFor(kind));
  Populate(region, region.pages());
  const auto tracker = MakeTracker(region.memory());
  REQUIRE(tracker->Start().ok());
  const UniqueFd zeros(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  REQUIRE(read(zeros.get(), region.page(3), 100) == 100);
  REQUIRE(PagesOf(Collect(*tracker)) == Set{3});
}

TEST_CASE("discarded private memory is collected, also whole page tables of it", "[dirty_tracker]") {
  const MemoryKind kind = GENERATE(MemoryKind::kAnonymous, MemoryKind::kAnonymousHuge);
  CAPTURE(MemoryKindName(kind));
  const TestRegion region(kind, 4096);
  Populate(region, 4096);
  const auto tracker = MakeTracker(region.memory());
  REQUIRE(tracker->Start().ok());
  Discard(region, 5);
  REQUIRE(PagesOf(Collect(*tracker)) == Set{5});
  REQUIRE(Collect(*tracker).empty());
  // Read again: a zero page is mapped there, and that does not hide what happened.
  Discard(region, 6);
  REQUIRE(region.counter(6) == 0);
  REQUIRE(PagesOf(Collect(*tracker)) == Set{6});
  REQUIRE(madvise(region.page(512), 2048 * kSmallPage, MADV_DONTNEED) == 0);
  REQUIRE(Collect(*tracker) == std::vector<PageRun>{{512, 2048}});
  REQUIRE(Collect(*tracker).empty());
  region.counter(600) = 3;
  REQUIRE(PagesOf(Collect(*tracker)) == Set{600});
}

TEST_CASE("the last collect finds what was sent and then written or discarded", "[dirty_tracker]") {
  const MemoryKind kind = GENERATE(values(kAllKinds));
  CAPTURE(MemoryKindName(kind));
  const TestRegion region(kind, PagesFor(kind));
  Populate(region, region.pages());
  const auto tracker = MakeTracker(region.memory());
  REQUIRE(tracker->Start().ok());
  PageBitmap sent(region.pages());
  sent.SetRun({1, region.pages() - 2});
  sent.Clear(4);

  std::vector<PageRun> dirty;
  REQUIRE(tracker->CollectLast(sent, &dirty).ok());
  REQUIRE(dirty.empty());
  region.counter(0) = 2;  // Not sent.
  region.counter(4) = 2;  // Not sent.
  region.counter(5) = 2;
  Discard(region, 1);
  region.counter(2) = 2;
  Discard(region, 2);
  REQUIRE(tracker->CollectLast(sent, &dirty).ok());
  REQUIRE(Ascending(dirty));
  REQUIRE(PagesOf(dirty) == Set{1, 2, 5});
}

TEST_CASE("a hole punched through the file is found by the last collect", "[dirty_tracker]") {
  const MemoryKind kind = GENERATE(MemoryKind::kShared, MemoryKind::kHugetlb);
  CAPTURE(MemoryKindName(kind));
  const TestRegion region(kind, PagesFor(kind));
  Populate(region, region.pages());
  const auto tracker = MakeTracker(region.memory());
  REQUIRE(tracker->Start().ok());
  const auto page_size = static_cast<off_t>(region.region().page_size);
  REQUIRE(fallocate(region.region().fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * page_size, 3 * page_size) == 0);
  PageBitmap sent(region.pages());
  sent.SetRun({3, 5});
  std::vector<PageRun> dirty;
  REQUIRE(tracker->CollectLast(sent, &dirty).ok());
  REQUIRE(dirty == std::vector<PageRun>{{3, 2}});
}

TEST_CASE("the last collect of many scattered pages names exactly the written ones", "[dirty_tracker]") {
  const TestRegion region(MemoryKind::kShared, 1u << 15);
  Populate(region, region.pages());
  const auto tracker = MakeTracker(region.memory());
  REQUIRE(tracker->Start().ok());
  std::mt19937_64 random(3);
  PageBitmap sent(region.pages());
  Set expected;
  for (PageIndex page = 0; page < region.pages(); ++page) {
    // Dense in places, with gaps of all sizes in between.
    if (page / 2000 % 3 != 1 && random() % 3 != 0) sent.Set(page);
    if (random() % 5 != 0) continue;
    region.counter(page) = 9;
    if (sent.Test(page)) expected.insert(page);
  }
  std::vector<PageRun> dirty;
  REQUIRE(tracker->CollectLast(sent, &dirty).ok());
  REQUIRE(Ascending(dirty));
  REQUIRE(PagesOf(dirty) == expected);
}

TEST_CASE("several regions are numbered one after the other", "[dirty_tracker]") {
  const TestRegion shared(MemoryKind::kShared, 100, "a");
  const TestRegion anonymous(MemoryKind::kAnonymous, 50, "b");
  const TestRegion more(MemoryKind::kShared, 10, "c");
  const auto memory = GuestMemory::Create({shared.region(), anonymous.region(), more.region()});
  REQUIRE(memory.ok());
  const auto tracker = MakeTracker(*memory);
  REQUIRE(tracker->Start().ok());
  for (const TestRegion* region : {&shared, &anonymous, &more}) {
    region->counter(0) = 1;
    region->counter(region->pages() - 1) = 1;
  }
  // Runs do not span regions.
  REQUIRE(Collect(*tracker) == std::vector<PageRun>{{0, 1}, {99, 1}, {100, 1}, {149, 1}, {150, 1}, {159, 1}});
}

TEST_CASE("afterwards the memory is as it was", "[dirty_tracker]") {
  const MemoryKind kind = GENERATE(values(kAllKinds));
  CAPTURE(MemoryKindName(kind));
  const TestRegion region(kind, PagesFor(kind));
  Populate(region, region.pages() / 2);
  for (PageIndex round = 0; round < 2; ++round) {
    const auto tracker = MakeTracker(region.memory());
    REQUIRE(tracker->Start().ok());
    region.counter(round) = 5;
    if (round == 0) REQUIRE(tracker->Stop().ok());  // And once more by the destructor.
  }
  for (PageIndex page = 0; page < region.pages(); ++page) {
    REQUIRE(region.counter(page) == (page < 2 ? 5 : page < region.pages() / 2 ? 1 : 0));
    region.counter(page) = page;
  }
  REQUIRE(madvise(region.region().base, region.region().length, MADV_NOHUGEPAGE) == 0);
  const auto again = MakeTracker(region.memory());
  REQUIRE(again->Start().ok());
  REQUIRE(Collect(*again).empty());
}

TEST_CASE("misuse and foreign memory are refused with the reason", "[dirty_tracker]") {
  const TestRegion region(MemoryKind::kShared, 16, "guest-ram");
  const auto tracker = MakeTracker(region.memory());
  std::vector<PageRun> dirty;
  REQUIRE(tracker->Collect(&dirty).code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(tracker->Stop().ok());
  REQUIRE(tracker->Start().ok());
  REQUIRE(tracker->Start().code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(tracker->CollectLast(PageBitmap(15), &dirty).code() == absl::StatusCode::kInvalidArgument);

  const auto second = MakeTracker(region.memory());
  const absl::Status taken = second->Start();
  INFO(taken);
  REQUIRE(taken.code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(std::string(taken.message()).find("guest-ram") != std::string::npos);
  // The first one is not disturbed.
  region.counter(3) = 1;
  REQUIRE(PagesOf(Collect(*tracker)) == Set{3});
}

TEST_CASE("a failed start leaves no region armed", "[dirty_tracker]") {
  const TestRegion good(MemoryKind::kShared, 16, "good");
  const TestRegion other(MemoryKind::kShared, 16);
  const UniqueFd file(open(fmt::format("/proc/self/fd/{}", other.region().fd).c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(file.valid());
  void* mapped = mmap(nullptr, 16 * kSmallPage, PROT_READ, MAP_SHARED, file.get(), 0);
  REQUIRE(mapped != MAP_FAILED);
  Region image{.name = "image", .base = static_cast<std::byte*>(mapped), .length = 16 * kSmallPage, .fd = file.get()};
  const auto memory = GuestMemory::Create({good.region(), image});
  REQUIRE(memory.ok());
  const auto tracker = MakeTracker(*memory);
  const absl::Status refused = tracker->Start();
  INFO(refused);
  REQUIRE(refused.code() == absl::StatusCode::kPermissionDenied);
  REQUIRE(std::string(refused.message()).find("'image'") != std::string::npos);
  const auto second = MakeTracker(good.memory());
  REQUIRE(second->Start().ok());
  REQUIRE(munmap(mapped, 16 * kSmallPage) == 0);
}

}  // namespace
}  // namespace farfault
