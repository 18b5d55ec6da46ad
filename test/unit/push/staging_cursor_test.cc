#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <deque>
#include <random>

#include "lib/push/run_list.h"

namespace farfault {
namespace {

struct Placed {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t end_position = 0;
};

TEST_CASE("both ends place staged runs alike, and no run overlaps one that is not given back", "[push][staging]") {
  const std::uint64_t ring = GENERATE(64u, 4096u, 12288u, 1000u);
  const std::uint64_t seed = GENERATE(range(1u, 11u));
  CAPTURE(ring, seed);
  std::mt19937_64 random(seed);
  StagingCursor source(ring);
  StagingCursor destination(ring);
  std::deque<Placed> in_use;  // Not given back yet.
  std::uint64_t credit = 0;
  for (int step = 0; step < 5000; ++step) {
    const std::uint64_t bytes = 1 + random() % ring;
    const std::uint64_t after = source.After(bytes);
    if (after - credit > ring && !in_use.empty()) {  // The pusher waits for credit; an empty ring takes any run.
      REQUIRE_FALSE(in_use.empty());
      credit = in_use.front().end_position;
      in_use.pop_front();
      continue;
    }
    const std::uint64_t offset = source.Place(bytes);
    REQUIRE(source.position() == after);
    REQUIRE(offset + bytes <= ring);
    for (const Placed& other : in_use) {
      const bool apart = offset + bytes <= other.offset || other.offset + other.bytes <= offset;
      REQUIRE(apart);
    }
    REQUIRE(destination.Place(bytes) == offset);
    REQUIRE(destination.position() == source.position());
    in_use.push_back({offset, bytes, source.position()});
  }
}

TEST_CASE("a run that fills the staging ring fits when the ring is empty", "[push][staging]") {
  StagingCursor cursor(128);
  CHECK(cursor.Place(128) == 0);
  CHECK(cursor.After(128) == 256);
  CHECK(cursor.Place(1) == 0);
  // 127 bytes are left; the gap is used up as well.
  CHECK(cursor.After(128) == 384);
  CHECK(cursor.Place(128) == 0);
}

}  // namespace
}  // namespace farfault
