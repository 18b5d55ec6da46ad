#include "lib/prepage/region_pages.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

namespace farfault {
namespace {

TEST_CASE("addresses and pages translate into each other", "[region_pages]") {
  auto* const low = reinterpret_cast<std::byte*>(0x10000000);
  auto* const high = reinterpret_cast<std::byte*>(0x40000000);
  const auto memory =
      GuestMemory::Create({{.name = "low", .base = low, .length = 16 * kSmallPage},
                           {.name = "huge", .base = high, .length = 4 * kHugePage, .page_size = kHugePage}});
  REQUIRE(memory.ok());
  const RegionPages huge(*memory, 1);
  REQUIRE(huge.pages() == PageRun{16, 4});
  REQUIRE(huge.Addresses({17, 2}).begin == 0x40000000 + kHugePage);
  REQUIRE(huge.Addresses({17, 2}).end == 0x40000000 + 3 * kHugePage);
  REQUIRE(huge.Pages(huge.Addresses({17, 2})) == PageRun{17, 2});
  // A small page inside a huge one stands for the whole.
  REQUIRE(huge.Pages({0x40000000 + kHugePage + kSmallPage, 0x40000000 + kHugePage + 2 * kSmallPage}) == PageRun{17, 1});
  const absl::Status annotated = huge.Annotate(absl::NotFoundError("lost"));
  REQUIRE(annotated.code() == absl::StatusCode::kNotFound);
  REQUIRE(std::string(annotated.message()) == "region 'huge': lost");
  REQUIRE(huge.Annotate(absl::OkStatus()).ok());
}

TEST_CASE("runs are sorted and united behind a position only", "[region_pages]") {
  std::vector<PageRun> runs{{90, 1}, {5, 2}, {20, 5}, {7, 1}, {22, 9}, {0, 1}, {21, 1}};
  SortAndUnite(&runs, 1);
  REQUIRE(runs == std::vector<PageRun>{{90, 1}, {0, 1}, {5, 3}, {20, 11}});
  SortAndUnite(&runs, 4);
  REQUIRE(runs.size() == 4);
}

TEST_CASE("appending extends the last run, but not one that was there before", "[region_pages]") {
  std::vector<PageRun> runs{{3, 2}};
  AppendRun({5, 1}, 1, &runs);
  AppendRun({6, 4}, 1, &runs);
  AppendRun({11, 1}, 1, &runs);
  REQUIRE(runs == std::vector<PageRun>{{3, 2}, {5, 5}, {11, 1}});
}

}  // namespace
}  // namespace farfault
