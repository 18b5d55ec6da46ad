#include "lib/transport/verbs/silence.h"

#include <catch2/catch_test_macros.hpp>

namespace farfault {
namespace {

using std::chrono::seconds;

TEST_CASE("a peer is asked after five seconds of silence, once") {
  const Silence::Clock::time_point start{};
  Silence silence(start);
  CHECK(!silence.MustAsk(start + seconds(4), false));
  CHECK(silence.MustAsk(start + seconds(5), false));
  CHECK(silence.asked());
  CHECK(!silence.MustAsk(start + seconds(60), false));
  silence.Answered();
  CHECK(!silence.asked());
  CHECK(silence.MustAsk(start + seconds(61), false));
}

TEST_CASE("what a peer sends, and requests that it has to answer, put the question off") {
  const Silence::Clock::time_point start{};
  Silence silence(start);
  silence.Hear();
  CHECK(!silence.MustAsk(start + seconds(6), false));
  CHECK(!silence.MustAsk(start + seconds(10), false));
  CHECK(!silence.MustAsk(start + seconds(12), true));
  CHECK(!silence.MustAsk(start + seconds(16), false));
  CHECK(silence.MustAsk(start + seconds(17), false));
}

}  // namespace
}  // namespace farfault
