#include "lib/transport/tcp/call_size.h"

#include <catch2/catch_test_macros.hpp>

namespace farfault {
namespace {

TEST_CASE("calls are large until there is an urgent request, and again when there have been none for a while") {
  CallSize size;
  for (std::uint32_t i = 0; i <= CallSize::kShortCalls; ++i) size.Next();  // Whatever other tests have noted.
  CHECK(size.Next() == CallSize::kCalm);
  UrgentRequests::Note();
  for (std::uint32_t i = 0; i < CallSize::kShortCalls; ++i) CHECK(size.Next() == CallSize::kUrgent);
  CHECK(size.Next() == CallSize::kCalm);
}

TEST_CASE("every urgent request keeps calls short for longer") {
  CallSize size;
  for (std::uint32_t i = 0; i < 3 * CallSize::kShortCalls; ++i) {
    UrgentRequests::Note();
    CHECK(size.Next() == CallSize::kUrgent);
  }
}

}  // namespace
}  // namespace farfault
