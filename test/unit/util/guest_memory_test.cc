#include "farfault/guest_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <vector>

#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

std::byte* At(std::uint64_t address) { return reinterpret_cast<std::byte*>(address); }

Region Small(std::string name, std::uint64_t base, std::uint64_t pages) {
  return {.name = std::move(name), .base = At(base), .length = pages * kSmallPage};
}

void CheckSays(const absl::Status& status, const std::string& cause, const std::string& remedy) {
  INFO(status.ToString());
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring(cause) && ContainsSubstring(remedy));
}

void CheckRefused(std::vector<Region> regions, const std::string& cause, const std::string& remedy) {
  CheckSays(GuestMemory::Create(std::move(regions)).status(), cause, remedy);
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

TEST_CASE("regions that make no sense are refused with the region, the value and the remedy", "[util][memory]") {
  const Region good = Small("ram", 0x100000, 4);
  Region bad = good;
  SECTION("none") { CheckRefused({}, "no regions", "give it at least one"); }
  SECTION("too many") {
    std::vector<Region> regions;
    for (std::uint64_t i = 0; i <= kMaxRegions; ++i) {
      regions.push_back(Small("r" + std::to_string(i), 0x100000 * (i + 1), 1));
    }
    CheckRefused(regions, "65 regions; 64 are allowed", "map neighbours as one");
    regions.pop_back();
    CHECK(GuestMemory::Create(regions).ok());
  }
  SECTION("no name") {
    bad.name.clear();
    CheckRefused({bad}, "region 0 has no name", "give it one");
  }
  SECTION("long name") {
    bad.name.assign(kMaxRegionName + 1, 'x');
    CheckRefused({bad}, "64 bytes; 63 are allowed", "give it a shorter one");
  }
  SECTION("a name twice") {
    bad.base = At(0x900000);
    CheckRefused({good, bad}, "two regions are called 'ram'", "give each a name of its own");
  }
  SECTION("page size") {
    bad.page_size = 16384;
    CheckRefused({bad}, "'ram': a page size of 16384", "use 4096 or 2097152");
  }
  SECTION("unaligned base") {
    bad.base += 8;
    CheckRefused({bad}, "'ram': its base 0x100008 is not a multiple", "align it, as mmap() does");
  }
  SECTION("no base") {
    bad.base = nullptr;
    CheckRefused({bad}, "'ram': its base is null", "map its memory first");
  }
  SECTION("base of small pages only") {
    bad.page_size = kHugePage;
    bad.length = kHugePage;
    CheckRefused({bad}, "its base 0x100000 is not a multiple of its page size 2097152", "align it");
  }
  SECTION("length 0") {
    bad.length = 0;
    CheckRefused({bad}, "its length 0", "round the length up to 4096");
  }
  SECTION("unaligned length") {
    bad.length += 1;
    CheckRefused({bad}, "its length 16385", "round the length up to 20480");
  }
  SECTION("beyond the address space") {
    bad.length = UINT64_MAX / kSmallPage * kSmallPage;
    CheckRefused({bad}, "beyond the address space", "the length that is mapped");
  }
  SECTION("unaligned offset") {
    bad.fd = 0;
    bad.file_offset = 512;
    CheckRefused({bad}, "its file offset 512", "begin at the page before");
  }
  SECTION("an offset without a file") {
    bad.file_offset = kSmallPage;
    CheckRefused({bad}, "but no file", "or the offset to 0");
  }
  SECTION("no descriptor") {
    bad.fd = -2;
    CheckRefused({bad}, "-2 is not a file descriptor", "-1 means anonymous memory");
  }
  SECTION("overlap by one page, in any order") {
    const std::string remedy = "give each region addresses of its own";
    CheckRefused({good, Small("more", 0x103000, 1)}, "'ram' and 'more' overlap at address 0x103000", remedy);
    CheckRefused({Small("more", 0xff000, 2), good}, "'more' and 'ram' overlap", remedy);
    CHECK(GuestMemory::Create({good, Small("more", 0x104000, 1)}).ok());
  }
}

ExternalRegion Elsewhere(std::vector<GuestMapping> mappings) {
  return {.name = "ram", .mappings = std::move(mappings)};
}

TEST_CASE("a region of another process may be mapped in parts", "[util][memory]") {
  UniqueFd file(memfd_create("stands for a userfaultfd", MFD_CLOEXEC));
  const ExternalGuest guest{.userfaultfd = file.get(), .pid = 42};
  auto memory =
      GuestMemory::CreateExternal({Elsewhere({{0x200000, 2 * kSmallPage}, {0x100000, 3 * kSmallPage}})}, guest);
  INFO(memory.status().ToString());
  REQUIRE(memory.ok());
  CHECK(memory->total_pages() == 5);
  REQUIRE(memory->external() != nullptr);
  CHECK(memory->external()->pid == 42);
  const GuestMemory copy = *memory;
  memory = absl::CancelledError();
  file.reset();
  CHECK(fcntl(copy.external()->userfaultfd, F_GETFD) == FD_CLOEXEC);
  memory = copy;
  CHECK(memory->mappings_of(0).size() == 2);
  CHECK(*memory->PageAt(At(0x201fff)) == 1);
  CHECK(*memory->PageAt(At(0x100000)) == 2);
  CHECK(*memory->PageAt(At(0x102000)) == 4);
  CHECK(absl::IsNotFound(memory->PageAt(At(0x202000)).status()));
  CHECK(GuestMemory::Create({Small("ram", 0x100000, 4)})->external() == nullptr);
}

TEST_CASE("regions of another process that make no sense are refused", "[util][memory]") {
  const auto refused = [](const ExternalRegion& region, const std::string& cause, const std::string& remedy,
                          int userfaultfd = STDERR_FILENO) {
    CheckSays(GuestMemory::CreateExternal({region}, {.userfaultfd = userfaultfd}).status(), cause, remedy);
  };
  refused(Elsewhere({{0x100000, kSmallPage}}), "not a userfaultfd", "open it in that process", -1);
  refused(Elsewhere({}), "mapped nowhere", "say where the guest has mapped it");
  const std::string as_mapped = "give it as the guest has mapped it";
  refused(Elsewhere({{0x100800, kSmallPage}}), "whole pages", as_mapped);
  refused(Elsewhere({{0x100000, 100}}), "whole pages", as_mapped);
  refused(Elsewhere({{0x100000, 0}}), "whole pages", as_mapped);
  refused(Elsewhere({{0, kSmallPage}}), "whole pages", as_mapped);
  refused(Elsewhere({{~std::uint64_t{0xfff}, 2 * kSmallPage}}), "beyond the address space", as_mapped);
  refused(Elsewhere({{0x100000, 2 * kSmallPage}, {0x101000, kSmallPage}}), "overlap at address 0x101000",
          "addresses of its own");
  refused(Elsewhere({{0x1000, ~std::uint64_t{0x1fff}}, {0x1000, ~std::uint64_t{0x1fff}}}), "length",
          "the length that is mapped");
  ExternalRegion odd = Elsewhere({{0x100000, kSmallPage}});
  odd.page_size = 12345;
  refused(odd, "whole pages", "the page size of that memory");
}

}  // namespace
}  // namespace farfault
