#include "lib/transport/tcp/memory_table.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <set>
#include <thread>
#include <vector>

#include "absl/time/clock.h"

namespace farfault {
namespace {

std::uint64_t Address(const std::vector<std::byte>& memory, std::size_t offset = 0) {
  return reinterpret_cast<std::uint64_t>(memory.data()) + offset;
}

TEST_CASE("memory is found by key, within its bounds, for what it was registered for") {
  MemoryTable table;
  std::vector<std::byte> memory(100);
  const auto key = table.Add(memory, RemoteAccess::kRead);
  REQUIRE(key.ok());
  const auto refusal = [&](std::uint64_t address, std::uint64_t length, RemoteAccess needed) {
    return table.Find(*key, address, length, needed).refusal;
  };
  CHECK(!refusal(Address(memory), 100, RemoteAccess::kRead));
  CHECK(!refusal(Address(memory), 100, RemoteAccess::kNone));
  CHECK(!refusal(Address(memory, 99), 1, RemoteAccess::kRead));
  CHECK(!refusal(Address(memory, 100), 0, RemoteAccess::kRead));
  CHECK(refusal(Address(memory), 1, RemoteAccess::kWrite) == Refusal::kNoAccess);
  CHECK(refusal(Address(memory), 1, RemoteAccess::kReadWrite) == Refusal::kNoAccess);
  CHECK(refusal(Address(memory, 99), 2, RemoteAccess::kRead) == Refusal::kOutOfBounds);
  CHECK(refusal(Address(memory) - 1, 1, RemoteAccess::kRead) == Refusal::kOutOfBounds);
  CHECK(refusal(Address(memory, 101), 0, RemoteAccess::kRead) == Refusal::kOutOfBounds);
  CHECK(refusal(Address(memory), ~std::uint64_t{0}, RemoteAccess::kRead) == Refusal::kOutOfBounds);
  CHECK(refusal(~std::uint64_t{0}, 2, RemoteAccess::kRead) == Refusal::kOutOfBounds);
  CHECK(table.Find(*key ^ 1, Address(memory), 1, RemoteAccess::kNone).refusal == Refusal::kBadKey);
  CHECK(table.Find(0, Address(memory), 1, RemoteAccess::kNone).refusal == Refusal::kBadKey);
  table.Revoke(*key);
  CHECK(refusal(Address(memory), 1, RemoteAccess::kRead) == Refusal::kBadKey);
}

TEST_CASE("keys are distinct, do not follow from each other, and run out with a clear error") {
  MemoryTable table;
  std::vector<std::byte> memory(1);
  std::set<std::uint32_t> keys;
  std::set<std::uint32_t> distances;
  std::uint32_t last = 0;
  for (std::size_t i = 0; i < MemoryTable::kMaxRegistrations; ++i) {
    const auto key = table.Add(memory, RemoteAccess::kRead);
    REQUIRE(key.ok());
    CHECK(*key != 0);
    keys.insert(*key);
    distances.insert(*key - last);
    last = *key;
  }
  CHECK(keys.size() == MemoryTable::kMaxRegistrations);
  CHECK(distances.size() > MemoryTable::kMaxRegistrations * 9 / 10);
  CHECK(absl::IsResourceExhausted(table.Add(memory, RemoteAccess::kRead).status()));
  table.Revoke(*keys.begin());
  CHECK(table.Add(memory, RemoteAccess::kRead).ok());
}

TEST_CASE("Revoke waits for pins and nothing pins the memory afterwards") {
  MemoryTable table;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::byte> memory(8);
    const auto key = table.Add(memory, RemoteAccess::kWrite);
    REQUIRE(key.ok());
    std::atomic<bool> revoked = false;
    std::atomic<bool> found_late = false;
    std::atomic<int> found = 0;
    std::thread user([&] {
      for (;;) {
        const MemoryTable::Lookup lookup = table.Find(*key, Address(memory), 8, RemoteAccess::kWrite);
        if (lookup.refusal) return;
        // Under the pin the revocation cannot have ended.
        if (revoked.load()) found_late.store(true);
        found.fetch_add(1);
      }
    });
    while (found.load() == 0) std::this_thread::yield();
    table.Revoke(*key);
    revoked.store(true);
    user.join();
    CHECK(!found_late.load());
  }
}

TEST_CASE("a pin covers what its key allows") {
  MemoryTable table;
  std::vector<std::byte> memory(100);
  const auto key = table.Add(memory, RemoteAccess::kRead);
  REQUIRE(key.ok());
  const MemoryTable::Lookup lookup = table.Find(*key, Address(memory), 1, RemoteAccess::kRead);
  REQUIRE(!lookup.refusal);
  CHECK(lookup.pin.Covers(Address(memory, 50), 50, RemoteAccess::kRead));
  CHECK(!lookup.pin.Covers(Address(memory, 50), 51, RemoteAccess::kRead));
  CHECK(!lookup.pin.Covers(Address(memory), 1, RemoteAccess::kWrite));
  CHECK(!MemoryTable::Pin().Covers(Address(memory), 1, RemoteAccess::kNone));
}

}  // namespace
}  // namespace farfault
