#include "lib/runtime/memory_lease.h"

#include <catch2/catch_test_macros.hpp>
#include <optional>

namespace farfault {
namespace {

// Never touched: a lease is about addresses only.
GuestMemory MemoryAt(std::uint64_t address, std::uint64_t pages) {
  Region region;
  region.name = "ram";
  region.base = reinterpret_cast<std::byte*>(address);
  region.length = pages * kSmallPage;
  auto memory = GuestMemory::Create({region});
  REQUIRE(memory.ok());
  return *memory;
}

TEST_CASE("memory is leased once at a time") {
  constexpr std::uint64_t kBase = std::uint64_t{1} << 40;
  const GuestMemory memory = MemoryAt(kBase, 4);
  auto first = MemoryLease::Take(memory);
  REQUIRE(first.ok());
  CHECK(absl::IsFailedPrecondition(MemoryLease::Take(memory).status()));
  CHECK(absl::IsFailedPrecondition(MemoryLease::Take(MemoryAt(kBase + 3 * kSmallPage, 4)).status()));
  CHECK(MemoryLease::Take(MemoryAt(kBase + 4 * kSmallPage, 4)).ok());

  std::optional<MemoryLease> moved(*std::move(first));
  CHECK_FALSE(MemoryLease::Take(memory).ok());
  moved.reset();
  CHECK(MemoryLease::Take(memory).ok());
}

}  // namespace
}  // namespace farfault
