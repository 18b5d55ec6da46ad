#include "test/support/command_process.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <string>

namespace farfault {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("a command that hangs is told of with all of its processes") {
  CommandProcess shell({"/bin/sh", "-c", "echo begun >&2; sleep 100 & wait"});
  REQUIRE(shell.WaitForErr("begun", absl::Seconds(20)));
  std::string err;
  // The child starts when it pleases.
  for (int tries = 0; tries < 200 && err.find("(sleep): ") == std::string::npos; ++tries) {
    CHECK(shell.Wait(absl::Milliseconds(100)) == -1);
    err = shell.Err();
  }
  CHECK_THAT(err, ContainsSubstring("begun") && ContainsSubstring("it still runs:") && ContainsSubstring("(sh): ") &&
                      ContainsSubstring("(sleep): ") && ContainsSubstring("system call "));
}

}  // namespace
}  // namespace farfault
