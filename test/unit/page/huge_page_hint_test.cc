#include "lib/page/huge_page_hint.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/prepage/pagemap.h"

namespace farfault {
namespace {

/// Nothing is ever read or written there.
Region At(std::uint64_t base, std::uint64_t file_offset = 0) {
  return {.name = "pc.ram",
          .base = reinterpret_cast<std::byte*>(base),
          .length = 4 * kHugePage,
          .fd = 3,
          .file_offset = file_offset};
}

constexpr std::uint64_t kAligned = std::uint64_t{1} << 40;
const std::vector<bool> kAllHuge(4, true);
const std::vector<bool> kNoneHuge(4, false);

bool Mentions(const std::string& text, const std::string& what) {
  INFO(text);
  return text.find(what) != std::string::npos;
}

TEST_CASE("a region that cannot have huge pages is named, however much of it was populated") {
  for (const Region& region : {At(kAligned + kSmallPage), At(kAligned, kSmallPage)}) {
    for (const bool whole : {true, false}) {
      const std::string hint = HugePageHint(region, kNoneHuge, whole);
      CHECK(Mentions(hint, "'pc.ram'"));
      CHECK(Mentions(hint, "multiples of 2 MiB"));
    }
  }
}

TEST_CASE("where every chunk got its huge page there is nothing to say") {
  CHECK(HugePageHint(At(kAligned), kAllHuge, true).empty());
}

TEST_CASE("chunks that were not populated are not missed") {
  CHECK(HugePageHint(At(kAligned), kNoneHuge, false).empty());
}

TEST_CASE("hugetlbfs and memory that was not looked at have no hint") {
  Region hugetlb = At(kAligned + kSmallPage);
  hugetlb.page_size = kHugePage;
  CHECK(HugePageHint(hugetlb, kNoneHuge, true).empty());
  CHECK(HugePageHint(At(kAligned + kSmallPage), {}, true).empty());
}

TEST_CASE("chunks that got no huge page are counted, with the remedy") {
  std::vector<bool> some = kAllHuge;
  some[2] = false;
  const std::string hint = HugePageHint(At(kAligned), some, true);
  if (Pagemap::OpenSelf().ok()) {
    CHECK(Mentions(hint, "1 of 4 chunks"));
    CHECK(Mentions(hint, "compact_memory"));
  } else {
    CHECK(Mentions(hint, "Linux 6.7"));
  }
}

}  // namespace
}  // namespace farfault
