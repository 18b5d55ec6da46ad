#include "lib/transport/verbs/silence.h"

#include <catch2/catch_test_macros.hpp>

namespace farfault {
namespace {

using std::chrono::seconds;

TEST_CASE("a peer is asked after five seconds of silence, once") {
  const Silence::Clock::time_point start{};
  Silence silence(start);
  CHECK(!silence.MustAsk(start + seconds(4)));
  CHECK(silence.MustAsk(start + seconds(5)));
  CHECK(silence.asked());
  CHECK(!silence.MustAsk(start + seconds(60)));
  silence.Answered();
  CHECK(!silence.asked());
  CHECK(silence.MustAsk(start + seconds(61)));
}

TEST_CASE("what a peer sends puts the question off") {
  const Silence::Clock::time_point start{};
  Silence silence(start);
  silence.Hear();
  CHECK(!silence.MustAsk(start + seconds(6)));
  CHECK(silence.when() == start + seconds(11));
  CHECK(!silence.MustAsk(start + seconds(10)));
  CHECK(silence.MustAsk(start + seconds(11)));
  CHECK(!silence.when());
}

}  // namespace
}  // namespace farfault
