#include "farfault/guest_memory.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <vector>

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

std::byte* At(std::uint64_t address) { return reinterpret_cast<std::byte*>(address); }

Region Small(std::string name, std::uint64_t base, std::uint64_t pages) {
  return {.name = std::move(name), .base = At(base), .length = pages * kSmallPage};
}

void CheckRefused(std::vector<Region> regions, const std::string& text) {
  const absl::Status status = GuestMemory::Create(std::move(regions)).status();
  INFO(status.ToString());
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring(text));
}

TEST_CASE("pages of several regions are numbered one after the other", "[util][memory]") {
  Region huge{.name = "huge", .base = At(64 * kHugePage), .length = 3 * kHugePage, .page_size = kHugePage};
  auto memory = GuestMemory::Create({Small("b", 0x900000, 5), huge, Small("a", 0x100000, 2)});
  REQUIRE(memory.ok());
  CHECK(memory->total_pages() == 10);
  CHECK(memory->total_bytes() == 7 * kSmallPage + 3 * kHugePage);
  CHECK(memory->pages_of(0) == PageRun{0, 5});
  CHECK(memory->pages_of(1) == PageRun{5, 3});
  CHECK(memory->pages_of(2) == PageRun{8, 2});
  CHECK(*memory->PageAt(At(0x900000)) == 0);
  CHECK(*memory->PageAt(At(0x900000 + 5 * kSmallPage - 1)) == 4);
  CHECK(*memory->PageAt(At(65 * kHugePage + 12345)) == 6);
  CHECK(*memory->PageAt(At(0x101fff)) == 9);
  for (const std::uint64_t outside : {0x8fffffull, 0x905000ull, 0xfffffull, 0x102000ull}) {
    CHECK(absl::IsNotFound(memory->PageAt(At(outside)).status()));
  }
}

TEST_CASE("regions that make no sense are refused with the region and the value", "[util][memory]") {
  const Region good = Small("ram", 0x100000, 4);
  Region bad = good;
  SECTION("none") { CheckRefused({}, "no regions"); }
  SECTION("too many") {
    std::vector<Region> regions;
    for (std::uint64_t i = 0; i <= kMaxRegions; ++i) {
      regions.push_back(Small("r" + std::to_string(i), 0x100000 * (i + 1), 1));
    }
    CheckRefused(regions, "65 regions; 64 are allowed");
    regions.pop_back();
    CHECK(GuestMemory::Create(regions).ok());
  }
  SECTION("no name") {
    bad.name.clear();
    CheckRefused({bad}, "region 0 has no name");
  }
  SECTION("long name") {
    bad.name.assign(kMaxRegionName + 1, 'x');
    CheckRefused({bad}, "64 bytes; 63 are allowed");
  }
  SECTION("a name twice") {
    bad.base = At(0x900000);
    CheckRefused({good, bad}, "two regions are called 'ram'");
  }
  SECTION("page size") {
    bad.page_size = 16384;
    CheckRefused({bad}, "'ram': a page size of 16384");
  }
  SECTION("unaligned base") {
    bad.base += 8;
    CheckRefused({bad}, "'ram': its base 0x100008");
  }
  SECTION("no base") {
    bad.base = nullptr;
    CheckRefused({bad}, "'ram': its base");
  }
  SECTION("base of small pages only") {
    bad.page_size = kHugePage;
    bad.length = kHugePage;
    CheckRefused({bad}, "its base 0x100000 is not a multiple of its page size 2097152");
  }
  SECTION("length 0") {
    bad.length = 0;
    CheckRefused({bad}, "its length 0");
  }
  SECTION("unaligned length") {
    bad.length += 1;
    CheckRefused({bad}, "its length 16385");
  }
  SECTION("beyond the address space") {
    bad.length = UINT64_MAX / kSmallPage * kSmallPage;
    CheckRefused({bad}, "beyond the address space");
  }
  SECTION("unaligned offset") {
    bad.fd = 0;
    bad.file_offset = 512;
    CheckRefused({bad}, "its file offset 512");
  }
  SECTION("an offset without a file") {
    bad.file_offset = kSmallPage;
    CheckRefused({bad}, "but no file");
  }
  SECTION("no descriptor") {
    bad.fd = -2;
    CheckRefused({bad}, "-2 is not a file descriptor");
  }
  SECTION("overlap by one page, in any order") {
    CheckRefused({good, Small("more", 0x103000, 1)}, "'ram' and 'more' overlap at address 0x103000");
    CheckRefused({Small("more", 0xff000, 2), good}, "'more' and 'ram' overlap");
    CHECK(GuestMemory::Create({good, Small("more", 0x104000, 1)}).ok());
  }
}

ExternalRegion Elsewhere(std::vector<GuestMapping> mappings) {
  return {.name = "ram", .mappings = std::move(mappings)};
}

TEST_CASE("a region of another process may be mapped in parts", "[util][memory]") {
  const ExternalGuest guest{.userfaultfd = 7, .pid = 42};
  auto memory =
      GuestMemory::CreateExternal({Elsewhere({{0x200000, 2 * kSmallPage}, {0x100000, 3 * kSmallPage}})}, guest);
  INFO(memory.status().ToString());
  REQUIRE(memory.ok());
  CHECK(memory->total_pages() == 5);
  REQUIRE(memory->external() != nullptr);
  CHECK(memory->external()->pid == 42);
  CHECK(memory->mappings_of(0).size() == 2);
  CHECK(*memory->PageAt(At(0x201fff)) == 1);
  CHECK(*memory->PageAt(At(0x100000)) == 2);
  CHECK(*memory->PageAt(At(0x102000)) == 4);
  CHECK(absl::IsNotFound(memory->PageAt(At(0x202000)).status()));
  CHECK(GuestMemory::Create({Small("ram", 0x100000, 4)})->external() == nullptr);
}

TEST_CASE("regions of another process that make no sense are refused", "[util][memory]") {
  const auto refused = [](const ExternalRegion& region, const std::string& text, int userfaultfd = 7) {
    const absl::Status status = GuestMemory::CreateExternal({region}, {.userfaultfd = userfaultfd}).status();
    INFO(status.ToString());
    CHECK(absl::IsInvalidArgument(status));
    CHECK_THAT(std::string(status.message()), ContainsSubstring(text));
  };
  refused(Elsewhere({{0x100000, kSmallPage}}), "not a userfaultfd", -1);
  refused(Elsewhere({}), "mapped nowhere");
  refused(Elsewhere({{0x100800, kSmallPage}}), "whole pages");
  refused(Elsewhere({{0x100000, 100}}), "whole pages");
  refused(Elsewhere({{0x100000, 0}}), "whole pages");
  refused(Elsewhere({{0, kSmallPage}}), "whole pages");
  refused(Elsewhere({{~std::uint64_t{0xfff}, 2 * kSmallPage}}), "beyond the address space");
  refused(Elsewhere({{0x100000, 2 * kSmallPage}, {0x101000, kSmallPage}}), "overlap at address 0x101000");
  refused(Elsewhere({{0x1000, ~std::uint64_t{0x1fff}}, {0x1000, ~std::uint64_t{0x1fff}}}), "length");
  ExternalRegion odd = Elsewhere({{0x100000, kSmallPage}});
  odd.page_size = 12345;
  refused(odd, "whole pages");
}

}  // namespace
}  // namespace farfault
