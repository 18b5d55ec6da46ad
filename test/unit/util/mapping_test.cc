#include "lib/util/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <utility>

#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

constexpr std::uint64_t kMegabyte = 1u << 20;

bool IsMapped(const std::byte* address) {
  unsigned char resident = 0;
  return mincore(const_cast<std::byte*>(address), 4096, &resident) == 0;
}

TEST_CASE("an aligned mapping is congruent to its offset, and what was reserved around it is free", "[util][mapping]") {
  const UniqueFd fd(memfd_create("mapping", MFD_CLOEXEC));
  REQUIRE(ftruncate(fd.get(), 16 * kMegabyte) == 0);
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{4096}, 3 * kMegabyte}) {
    auto mapping = Mapping::Map({.length = 3 * kMegabyte,
                                 .protection = PROT_READ | PROT_WRITE,
                                 .flags = MAP_SHARED,
                                 .fd = fd.get(),
                                 .offset = offset,
                                 .alignment = 2 * kMegabyte});
    REQUIRE(mapping.ok());
    CHECK((reinterpret_cast<std::uint64_t>(mapping->data()) - offset) % (2 * kMegabyte) == 0);
    mapping->data()[0] = std::byte{9};
    std::byte byte{};
    REQUIRE(pread(fd.get(), &byte, 1, static_cast<off_t>(offset)) == 1);
    CHECK(byte == std::byte{9});
    const std::byte* const data = mapping->data();
    *mapping = Mapping();
    CHECK_FALSE(IsMapped(data));
  }
}

TEST_CASE("a mapping is unmapped once, by its last owner", "[util][mapping]") {
  auto first = Mapping::Anonymous(kMegabyte);
  REQUIRE(first.ok());
  const std::byte* const data = first->data();
  Mapping second = *std::move(first);
  CHECK(first->data() == nullptr);  // NOLINT(bugprone-use-after-move): what is left behind is the point
  CHECK(second.data() == data);
  {
    const Mapping third = std::move(second);
    CHECK(IsMapped(data));
  }
  CHECK_FALSE(IsMapped(data));
}

TEST_CASE("a failed mapping is the errno's status", "[util][mapping]") {
  CHECK(absl::IsInvalidArgument(Mapping::Anonymous(0).status()));
  CHECK_FALSE(Mapping::Map({.length = std::uint64_t{1} << 60,
                            .protection = PROT_READ,
                            .flags = MAP_PRIVATE | MAP_ANONYMOUS,
                            .alignment = 2 * kMegabyte})
                  .ok());
}

TEST_CASE("a descriptor is closed by its owner", "[util][fd]") {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const UniqueFd reader(ends[0]);
  {
    UniqueFd writer(ends[1]);
    const UniqueFd moved = std::move(writer);
    CHECK_FALSE(writer.valid());  // NOLINT(bugprone-use-after-move): what is left behind is the point
    CHECK(write(moved.get(), "x", 1) == 1);
  }
  char byte = 0;
  CHECK(read(reader.get(), &byte, 1) == 1);
  CHECK(read(reader.get(), &byte, 1) == 0);
}

}  // namespace
}  // namespace farfault
