#ifndef FARFAULT_TEST_INTEGRATION_PREPAGE_TRACKED_MEMORY_H_
#define FARFAULT_TEST_INTEGRATION_PREPAGE_TRACKED_MEMORY_H_

#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "farfault/guest_memory.h"
#include "lib/prepage/dirty_tracker.h"
#include "test/support/memory_machine.h"
#include "test/support/skip.h"

namespace farfault {

enum class MemoryKind { kShared, kAnonymous, kAnonymousHuge, kHugetlb };

inline const char* MemoryKindName(MemoryKind kind) {
  switch (kind) {
    case MemoryKind::kShared:
      return "shared";
    case MemoryKind::kAnonymous:
      return "anonymous";
    case MemoryKind::kAnonymousHuge:
      return "anonymous with transparent huge pages";
    case MemoryKind::kHugetlb:
      return "hugetlbfs";
  }
  return "";
}

/// One region with one counter per page, for tests that look at pages as wholes.
class TestRegion {
 public:
  TestRegion(MemoryKind kind, std::uint64_t pages, const std::string& name = "memory") {
    if (kind == MemoryKind::kHugetlb) {
      auto pool = HugePagePool::Provide(pages);
      if (!pool.ok()) SkipFor(std::string(pool.status().message()));
      pool_.emplace(*std::move(pool));
    }
    OwnedRegion::Placement placement;
    placement.page_size = kind == MemoryKind::kHugetlb ? kHugePage : kSmallPage;
    placement.transparent_huge_pages = kind == MemoryKind::kAnonymousHuge;
    const bool anonymous = kind == MemoryKind::kAnonymous || kind == MemoryKind::kAnonymousHuge;
    const std::uint64_t length = pages * placement.page_size;
    auto owned = anonymous ? OwnedRegion::CreateAnonymous(name, length, placement)
                           : OwnedRegion::CreateShared(name, length, placement);
    INFO(owned.status());
    REQUIRE(owned.ok());
    owned_ = *std::move(owned);
  }

  const Region& region() const { return owned_.region(); }
  std::uint64_t pages() const { return region().length / region().page_size; }
  std::byte* page(PageIndex index) const { return region().base + index * region().page_size; }
  std::atomic_ref<std::uint64_t> counter(PageIndex index) const {
    return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(page(index)));
  }
  GuestMemory memory() const {
    auto memory = GuestMemory::Create({region()});
    REQUIRE(memory.ok());
    return *memory;
  }

 private:
  std::optional<HugePagePool> pool_;
  OwnedRegion owned_;
};

inline std::set<PageIndex> PagesOf(const std::vector<PageRun>& runs) {
  std::set<PageIndex> pages;
  for (const PageRun& run : runs) {
    for (PageIndex page = run.first; page < run.end(); ++page) pages.insert(page);
  }
  return pages;
}

inline bool Ascending(const std::vector<PageRun>& runs) {
  const auto out_of_order = [](const PageRun& a, const PageRun& b) { return a.end() > b.first; };
  return std::adjacent_find(runs.begin(), runs.end(), out_of_order) == runs.end() &&
         std::none_of(runs.begin(), runs.end(), [](const PageRun& run) { return run.count == 0; });
}

/// Skips the test on a kernel that cannot do it.
inline std::unique_ptr<DirtyTracker> MakeTracker(const GuestMemory& memory) {
  auto tracker = DirtyTracker::Create(memory);
  if (tracker.status().code() == absl::StatusCode::kUnimplemented) SkipFor(std::string(tracker.status().message()));
  INFO(tracker.status());
  REQUIRE(tracker.ok());
  return *std::move(tracker);
}

inline std::vector<PageRun> Collect(DirtyTracker& tracker) {
  std::vector<PageRun> dirty;
  const absl::Status status = tracker.Collect(&dirty);
  INFO(status);
  REQUIRE(status.ok());
  REQUIRE(Ascending(dirty));
  return dirty;
}

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_PREPAGE_TRACKED_MEMORY_H_
