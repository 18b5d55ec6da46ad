#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include "farfault/guest_memory.h"
#include "test/support/fill.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

bool Aligned(const OwnedRegion& region) {
  return reinterpret_cast<std::uint64_t>(region.region().base) % kHugePage == 0;
}

struct ScratchFolder {
  ScratchFolder() { REQUIRE(mkdtemp(path.data()) != nullptr); }
  ~ScratchFolder() {
    for (const char* name : {"image", "empty", "pipe", "secret"}) unlink(File(name).c_str());
    rmdir(path.c_str());
  }
  std::string File(const std::string& name) const { return path + "/" + name; }
  std::string path = "/tmp/farfault-test-XXXXXX";
};

TEST_CASE("shared memory has a file, is zero, and lies where huge pages may", "[util][region]") {
  auto region = OwnedRegion::CreateShared("ram", 3 * kSmallPage);
  REQUIRE(region.ok());
  CHECK(Aligned(*region));
  CHECK(region->bytes().size() == 3 * kSmallPage);
  CHECK(AllZero(region->bytes()));
  REQUIRE(region->region().fd >= 0);
  region->bytes()[kSmallPage] = std::byte{42};
  std::byte byte{};
  REQUIRE(pread(region->region().fd, &byte, 1, kSmallPage) == 1);
  CHECK(byte == std::byte{42});
  CHECK(GuestMemory::Create({region->region()}).ok());
}

TEST_CASE("anonymous memory has no file", "[util][region]") {
  auto region = OwnedRegion::CreateAnonymous("heap", kHugePage);
  REQUIRE(region.ok());
  CHECK(Aligned(*region));
  CHECK(region->region().fd == -1);
  CHECK(AllZero(region->bytes()));
}

TEST_CASE("a region moves, and releases what it held", "[util][region]") {
  auto first = OwnedRegion::CreateShared("first", kSmallPage);
  auto second = OwnedRegion::CreateShared("second", kSmallPage);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  const int closed = first->region().fd;
  std::byte* const base = second->region().base;
  *first = *std::move(second);
  CHECK(fcntl(closed, F_GETFD) == -1);
  CHECK(first->region().base == base);
  CHECK(first->region().name == "second");
  CHECK(second->bytes().empty());  // NOLINT(bugprone-use-after-move): what is left behind is the point
  first->bytes()[0] = std::byte{1};
}

TEST_CASE("memory at an address, or not at all", "[util][region]") {
  auto first = OwnedRegion::CreateShared("first", kSmallPage);
  REQUIRE(first.ok());
  void* const taken = first->region().base;
  const absl::Status status = OwnedRegion::CreateShared("second", kSmallPage, {.fixed_address = taken}).status();
  CHECK(absl::IsAlreadyExists(status));
  CHECK_THAT(std::string(status.message()),
             ContainsSubstring("'second': something is mapped at 0x") && ContainsSubstring("unmap that first"));
  *first = OwnedRegion();
  auto second = OwnedRegion::CreateAnonymous("second", kSmallPage, {.fixed_address = taken});
  REQUIRE(second.ok());
  CHECK(second->region().base == taken);
  const absl::Status unaligned =
      OwnedRegion::CreateAnonymous("third", kSmallPage, {.fixed_address = static_cast<std::byte*>(taken) + 1}).status();
  CHECK(absl::IsInvalidArgument(unaligned));
  CHECK_THAT(std::string(unaligned.message()),
             ContainsSubstring("is not a multiple of its page size 4096; give one that is, or none"));
}

TEST_CASE("sizes that cannot be", "[util][region]") {
  const auto refused = [](const absl::Status& status, const std::string& remedy) {
    INFO(status.ToString());
    CHECK(absl::IsInvalidArgument(status));
    CHECK_THAT(std::string(status.message()), ContainsSubstring("memory 'ram'") && ContainsSubstring(remedy));
  };
  refused(OwnedRegion::CreateShared("ram", 0).status(), "round the length up to 4096");
  refused(OwnedRegion::CreateShared("ram", kSmallPage + 1).status(), "round the length up to 8192");
  refused(OwnedRegion::CreateShared("ram", UINT64_MAX).status(), "round the length up to 18446744073709547520");
  refused(OwnedRegion::CreateAnonymous("ram", kSmallPage, {.page_size = kHugePage}).status(),
          "round the length up to 2097152");
  refused(OwnedRegion::CreateAnonymous("ram", kSmallPage, {.page_size = 1 << 14}).status(), "use 4096 or 2097152");
  const absl::Status status = OwnedRegion::CreateShared("ram", std::uint64_t{1} << 50).status();
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring("'ram': 1125899906842624 bytes"));
}

TEST_CASE("too few huge pages: the error has the command that provides them", "[util][region]") {
  // More than any machine that runs tests has.
  const std::uint64_t pages = 1u << 20;
  for (const bool shared : {true, false}) {
    const OwnedRegion::Placement huge{.page_size = kHugePage};
    const absl::Status status = shared ? OwnedRegion::CreateShared("ram", pages * kHugePage, huge).status()
                                       : OwnedRegion::CreateAnonymous("ram", pages * kHugePage, huge).status();
    CHECK(absl::IsResourceExhausted(status));
    CHECK_THAT(std::string(status.message()), ContainsSubstring("sysctl -w vm.nr_hugepages=1048576"));
  }
}

TEST_CASE("a file is mapped up to a whole page, and its tail reads as zeros", "[util][region]") {
  const ScratchFolder folder;
  std::ofstream(folder.File("image")) << std::string(kSmallPage + 5, 'x');
  auto region = OwnedRegion::OpenFile(folder.File("image"));
  REQUIRE(region.ok());
  CHECK(region->region().name == "image");
  CHECK(region->bytes().size() == 2 * kSmallPage);
  CHECK(region->bytes()[kSmallPage + 4] == std::byte{'x'});
  CHECK(AllZero(region->bytes().subspan(kSmallPage + 5)));
}

TEST_CASE("files that cannot be exported", "[util][region]") {
  const ScratchFolder folder;
  const absl::Status nowhere = OwnedRegion::OpenFile(folder.File("nowhere")).status();
  CHECK(absl::IsNotFound(nowhere));
  CHECK_THAT(std::string(nowhere.message()), ContainsSubstring("check its name"));
  const absl::Status is_folder = OwnedRegion::OpenFile(folder.path).status();
  CHECK(absl::IsInvalidArgument(is_folder));
  CHECK_THAT(std::string(is_folder.message()), ContainsSubstring("name one that holds the memory's bytes"));
  std::ofstream(folder.File("empty")).flush();
  const absl::Status empty = OwnedRegion::OpenFile(folder.File("empty")).status();
  CHECK(absl::IsInvalidArgument(empty));
  CHECK_THAT(std::string(empty.message()),
             ContainsSubstring("is empty: there is nothing to export; name a file that holds"));
  REQUIRE(mkfifo(folder.File("pipe").c_str(), 0600) == 0);
  CHECK(absl::IsInvalidArgument(OwnedRegion::OpenFile(folder.File("pipe")).status()));
  std::ofstream(folder.File("secret")) << "x";
  REQUIRE(chmod(folder.File("secret").c_str(), 0) == 0);
  if (geteuid() == 0) {
    // Root may read everything; act as somebody else for a moment.
    REQUIRE(chmod(folder.path.c_str(), 0755) == 0);
    REQUIRE(seteuid(65534) == 0);
  }
  const absl::Status secret = OwnedRegion::OpenFile(folder.File("secret")).status();
  if (getuid() == 0) REQUIRE(seteuid(0) == 0);
  CHECK(absl::IsPermissionDenied(secret));
  CHECK_THAT(std::string(secret.message()), ContainsSubstring("let this user read it"));
}

TEST_CASE("a file is not to blame where too many are open", "[util][region]") {
  const ScratchFolder folder;
  std::ofstream(folder.File("image")) << "x";
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const absl::Status status = OwnedRegion::OpenFile(folder.File("image")).status();
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring("raise the limit of open files (ulimit -n)"));
}

}  // namespace
}  // namespace farfault
