#include "lib/cli/give_way.h"

#include <sys/resource.h>

#include <catch2/catch_test_macros.hpp>
#include <thread>

namespace farfault {
namespace {

// On Linux a nice value belongs to a thread, and those that it starts inherit it.
TEST_CASE("a command gives way with all threads that it starts, and never takes precedence", "[cli]") {
  int before = -1;
  int after = -1;
  int inherited = -1;
  int asked_for_less = -1;
  absl::Status first;
  absl::Status second;
  std::thread([&] {
    before = getpriority(PRIO_PROCESS, 0);
    first = GiveWay(before + 3);
    after = getpriority(PRIO_PROCESS, 0);
    std::thread([&] { inherited = getpriority(PRIO_PROCESS, 0); }).join();
    second = GiveWay(before + 1);
    asked_for_less = getpriority(PRIO_PROCESS, 0);
  }).join();
  CHECK(first.ok());
  CHECK(second.ok());
  CHECK(after == before + 3);
  CHECK(inherited == before + 3);
  CHECK(asked_for_less == before + 3);
}

}  // namespace
}  // namespace farfault
