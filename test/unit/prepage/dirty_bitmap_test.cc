#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "farfault/dirty_log.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

// Never touched: only the layout counts. Region 0 has 200 small pages, region 1 four huge ones.
GuestMemory Memory() {
  auto* const base = reinterpret_cast<std::byte*>(std::uintptr_t{1} << 40);
  const auto memory = GuestMemory::Create(
      {{.name = "small", .base = base, .length = 200 * kSmallPage},
       {.name = "huge", .base = base + (std::uint64_t{1} << 30), .length = 4 * kHugePage, .page_size = kHugePage}});
  REQUIRE(memory.ok());
  return *memory;
}

std::vector<PageRun> Dirty(const DirtyBitmap& bitmap) {
  std::vector<PageRun> written;
  const absl::Status status = AppendDirtyPages(Memory(), bitmap, &written);
  INFO(status.ToString());
  REQUIRE(status.ok());
  return written;
}

TEST_CASE("a dirty bitmap becomes runs, across words and not beyond its end") {
  std::array<std::uint64_t, 3> words = {};
  CHECK(Dirty({.region = 0, .pages = 150, .words = words}).empty());
  words[0] = 0b1011ull | 1ull << 63;
  words[1] = 0b1ull;
  words[2] = ~0ull << 20;
  CHECK(Dirty({.region = 0, .pages = 150, .words = words}) == std::vector<PageRun>{{0, 2}, {3, 1}, {63, 2}, {148, 2}});
  words.fill(~0ull);
  CHECK(Dirty({.region = 0, .pages = 150, .words = words}) == std::vector<PageRun>{{0, 150}});
  CHECK(Dirty({.region = 0, .offset = 50 * kSmallPage, .pages = 150, .words = words}) ==
        std::vector<PageRun>{{50, 150}});
  CHECK(Dirty({.region = 0, .pages = 0, .words = {}}).empty());
}

TEST_CASE("every bit of a dirty bitmap is that page and no other") {
  for (std::uint64_t page = 0; page < 150; ++page) {
    std::array<std::uint64_t, 3> words = {};
    words[page / 64] = 1ull << (page % 64);
    CHECK(Dirty({.region = 0, .pages = 150, .words = words}) == std::vector<PageRun>{{page, 1}});
  }
}

TEST_CASE("bits stand for small pages of a region of huge pages as well") {
  // Page 511 of the first huge page, page 0 and page 2 of the second, and one of the fourth.
  std::array<std::uint64_t, 32> words = {};
  for (const std::uint64_t bit : {511u, 512u, 514u, 2047u}) words[bit / 64] |= 1ull << (bit % 64);
  CHECK(Dirty({.region = 1, .pages = 2048, .words = words}) == std::vector<PageRun>{{200, 2}, {203, 1}});
  // A slot that begins in the middle of a huge page.
  words.fill(0);
  words[0] = 1;
  CHECK(Dirty({.region = 1, .offset = kHugePage + 7 * kSmallPage, .pages = 64, .words = words}) ==
        std::vector<PageRun>{{201, 1}});
}

TEST_CASE("a dirty bitmap that is not of the memory is refused, and nothing is taken from it") {
  const std::array<std::uint64_t, 4> words = {~0ull, ~0ull, ~0ull, ~0ull};
  const auto refused = [](const DirtyBitmap& bitmap, const char* because) {
    std::vector<PageRun> written;
    const absl::Status status = AppendDirtyPages(Memory(), bitmap, &written);
    CHECK(absl::IsInvalidArgument(status));
    CHECK_THAT(std::string(StatusText(status)), ContainsSubstring(because));
    CHECK(written.empty());
  };
  refused({.region = 2, .pages = 1, .words = words}, "2 regions");
  refused({.region = 0, .pages = 201, .words = words}, "'small'");
  refused({.region = 0, .offset = 1, .pages = 1, .words = words}, "multiple");
  refused({.region = 0, .offset = 200 * kSmallPage, .pages = 1, .words = words}, "'small'");
  refused({.region = 0, .offset = ~0ull - kSmallPage + 1, .pages = 1, .words = words}, "'small'");
  refused({.region = 0, .pages = ~0ull, .words = words}, "'small'");
  refused({.region = 1, .pages = 257, .words = words}, "5 words");
}

}  // namespace
}  // namespace farfault
