#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>
#include <vector>

#include "farfault/farfault.h"
#include "lib/page/guest_mapping.h"
#include "lib/page/guest_placement.h"
#include "lib/util/mapping.h"
#include "test/support/local_transport.h"
#include "test/support/memory_machine.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

constexpr std::uint64_t kLength = 4u << 20;

absl::Status Place(const Region& region, const GuestPlacementOptions& options = {}) {
  auto memory = GuestMemory::Create({region});
  if (!memory.ok()) return memory.status();
  LocalTransport transport;
  return GuestPlacement::Create(*memory, PageLayout(*memory), transport, options).status();
}

void CheckInvalid(const absl::Status& status, const std::string& text) {
  INFO(status.ToString());
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring("region 'ram'") && ContainsSubstring(text));
}

absl::StatusOr<Mapping> MapFile(int fd, int protection = PROT_READ | PROT_WRITE) {
  return Mapping::Map(
      {.length = kLength, .protection = protection, .flags = MAP_SHARED, .fd = fd, .alignment = kHugePage});
}

TEST_CASE("a region that is not what is mapped there is refused by name", "[memory][bad]") {
  auto owned = OwnedRegion::CreateShared("ram", kLength);
  auto other = OwnedRegion::CreateShared("other", kLength);
  REQUIRE(owned.ok());
  REQUIRE(other.ok());
  Region region = owned->region();
  SECTION("nothing wrong") { CHECK(Place(region).ok()); }
  SECTION("another file") {
    region.fd = other->region().fd;
    CheckInvalid(Place(region), "must be the file that is mapped");
  }
  SECTION("a closed descriptor") {
    region.fd = 1'000'000;
    CheckInvalid(Place(region), "is not open; leave it open");
  }
  SECTION("another offset") {
    region.base += kSmallPage;
    region.length -= kSmallPage;
    CheckInvalid(Place(region), "offset 0 of the file must be mapped");
  }
  SECTION("shared memory without its file") {
    region.fd = -1;
    CheckInvalid(Place(region), "must be private anonymous memory");
  }
  SECTION("a private mapping of a file") {
    auto mapped = Mapping::Map(
        {.length = kLength, .protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE, .fd = owned->region().fd});
    REQUIRE(mapped.ok());
    region.base = mapped->data();
    CheckInvalid(Place(region), "must be mapped shared");
  }
  SECTION("nothing mapped at its end") {
    REQUIRE(munmap(region.base + kLength - kSmallPage, kSmallPage) == 0);
    const absl::Status status = Place(region);
    CheckInvalid(status, "nothing is mapped at");
    CheckInvalid(status, "map all of it first");
  }
  SECTION("huge pages of a file that has none") {
    region.page_size = kHugePage;
    CheckInvalid(Place(region), "its page size is 2097152, but its file is not on hugetlbfs; say 4096");
  }
  SECTION("a file that ends before the region does") {
    REQUIRE(ftruncate(region.fd, kLength - kSmallPage) == 0);
    CheckInvalid(Place(region), "its file ends at 4190208, but the region reaches to 4194304; make the file longer");
  }
}

TEST_CASE("two regions on the same part of a file are refused", "[memory][bad]") {
  auto owned = OwnedRegion::CreateShared("ram", kLength);
  REQUIRE(owned.ok());
  auto again = MapFile(owned->region().fd);
  REQUIRE(again.ok());
  const UniqueFd other_fd(dup(owned->region().fd));
  Region first = owned->region();
  first.length = kLength / 2;
  Region second{.name = "rom",
                .base = again->data() + kLength / 2,
                .length = kLength / 2,
                .fd = other_fd.get(),
                .file_offset = kLength / 2};
  CHECK(CheckGuestMappings(std::vector<Region>{first, second}).ok());
  first.length += kSmallPage;
  const absl::Status status = CheckGuestMappings(std::vector<Region>{first, second});
  CHECK(absl::IsInvalidArgument(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring("'ram' and 'rom' are parts of the same file") &&
                                                ContainsSubstring("give each region a part of its own"));
}

// What is a hole of the wrong file would arrive as zeros.
TEST_CASE("a source refuses memory that is not what its region says", "[memory][bad]") {
  auto owned = OwnedRegion::CreateShared("ram", kLength);
  REQUIRE(owned.ok());
  Region region = owned->region();
  const auto refused = [&region](const std::string& why) {
    auto memory = GuestMemory::Create({region});
    REQUIRE(memory.ok());
    SourceOptions options;
    options.connect = "tcp://127.0.0.1:1";
    options.handshake_timeout = absl::Milliseconds(200);
    CheckInvalid(SourceSession::Create(*memory, std::move(options)).status(), why);
  };
  SECTION("a private mapping of a file") {
    auto mapped = Mapping::Map(
        {.length = kLength, .protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE, .fd = owned->region().fd});
    REQUIRE(mapped.ok());
    region.base = mapped->data();
    SECTION("with its file") { refused("must be mapped shared"); }
    SECTION("without its file") {
      region.fd = -1;
      refused("must be private anonymous memory");
    }
  }
  SECTION("shared memory without its file") {
    region.fd = -1;
    refused("must be private anonymous memory");
  }
  SECTION("another offset in the file") {
    region.base += kSmallPage;
    region.length -= kSmallPage;
    refused("offset 0 of the file must be mapped");
  }
}

TEST_CASE("a file that is mapped read-only to be exported is what its region says", "[memory]") {
  char path[] = "/var/tmp/farfault-test-XXXXXX";
  const UniqueFd fd(mkstemp(path));
  REQUIRE(fd.valid());
  const bool written = ftruncate(fd.get(), kLength - 1) == 0;
  auto owned = OwnedRegion::OpenFile(path);
  unlink(path);
  REQUIRE(written);
  REQUIRE(owned.ok());
  const absl::Status status = CheckGuestMappings(std::vector<Region>{owned->region()});
  INFO(status.ToString());
  CHECK(status.ok());
}

TEST_CASE("a file without userfaultfd, or that may not be written, is refused", "[memory][bad]") {
  SECTION("on disk") {
    char path[] = "/var/tmp/farfault-test-XXXXXX";
    const UniqueFd fd(mkstemp(path));
    REQUIRE(fd.valid());
    unlink(path);
    REQUIRE(ftruncate(fd.get(), kLength) == 0);
    auto mapped = MapFile(fd.get());
    REQUIRE(mapped.ok());
    const absl::Status status = Place({.name = "ram", .base = mapped->data(), .length = kLength, .fd = fd.get()});
    if (status.ok()) SkipFor("/var/tmp is a tmpfs here");
    CheckInvalid(status, "is not on memfd, tmpfs or hugetlbfs; put it there");
  }
  SECTION("read-only") {
    auto owned = OwnedRegion::CreateShared("ram", kLength);
    REQUIRE(owned.ok());
    const std::string path = "/proc/self/fd/" + std::to_string(owned->region().fd);
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(fd.valid());
    auto mapped = MapFile(fd.get(), PROT_READ);
    REQUIRE(mapped.ok());
    const absl::Status status = Place({.name = "ram", .base = mapped->data(), .length = kLength, .fd = fd.get()});
    CHECK(absl::IsPermissionDenied(status));
    CHECK_THAT(std::string(status.message()), ContainsSubstring("open for reading and writing"));
  }
}

TEST_CASE("a transport that cannot register says so with the region's name", "[memory][bad]") {
  auto owned = OwnedRegion::CreateShared("ram", kLength);
  REQUIRE(owned.ok());
  auto memory = GuestMemory::Create({owned->region()});
  REQUIRE(memory.ok());
  LocalTransport transport;
  transport.FailWith(absl::ResourceExhaustedError("see `ulimit -l`"));
  const absl::Status status = GuestPlacement::Create(*memory, PageLayout(*memory), transport, {}).status();
  CHECK(absl::IsResourceExhausted(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring("region 'ram': see `ulimit -l`"));
}

TEST_CASE("arming one region of two that another session holds disarms the first again", "[memory][bad]") {
  if (const absl::Status status = UserfaultfdAvailable(); !status.ok()) SkipFor(std::string(status.message()));
  auto first = OwnedRegion::CreateShared("first", kLength);
  auto second = OwnedRegion::CreateShared("second", kLength);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  auto both = GuestMemory::Create({first->region(), second->region()});
  REQUIRE(both.ok());
  LocalTransport transport;
  auto placement = GuestPlacement::Create(*both, PageLayout(*both), transport, {});
  REQUIRE(placement.ok());
  auto holder = Userfaultfd::Open((*placement)->required_features());
  auto uffd = Userfaultfd::Open((*placement)->required_features());
  REQUIRE(holder.ok());
  REQUIRE(uffd.ok());
  REQUIRE(holder->Register(second->bytes().data(), kLength, UFFDIO_REGISTER_MODE_MINOR).ok());
  const absl::Status status = (*placement)->Arm(*uffd);
  CHECK(absl::IsFailedPrecondition(status));
  CHECK_THAT(std::string(status.message()), ContainsSubstring("'second'") && ContainsSubstring("another session") &&
                                                ContainsSubstring("end that one first"));
  // Would park for ever if the first were still armed.
  CHECK(first->bytes()[0] == std::byte{0});
}

TEST_CASE("progress is told from nothing to everything", "[memory]") {
  auto owned = OwnedRegion::CreateShared("ram", 64u << 20);
  REQUIRE(owned.ok());
  std::uint64_t last = 0;
  std::uint64_t total = 0;
  GuestPlacementOptions options;
  options.threads = 2;
  options.progress = [&](std::uint64_t done, std::uint64_t all) {
    CHECK(done >= last);
    last = done;
    total = all;
  };
  REQUIRE(Place(owned->region(), options).ok());
  CHECK(total == 64u << 20);
  CHECK(last == total);
}

}  // namespace
}  // namespace farfault
