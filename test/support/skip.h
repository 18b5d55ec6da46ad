#ifndef FARFAULT_TEST_SUPPORT_SKIP_H_
#define FARFAULT_TEST_SUPPORT_SKIP_H_

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <string>
#include <string_view>

namespace farfault {

/// Ends the test case because the machine lacks something. Where CI=true the machine is expected to have it, and the
/// case fails.
[[noreturn]] inline void SkipFor(const std::string& reason) {
  const char* const ci = std::getenv("CI");
  if (ci != nullptr && std::string_view(ci) == "true") FAIL(reason);
  SKIP(reason);
  std::abort();  // Both have thrown.
}

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_SKIP_H_
