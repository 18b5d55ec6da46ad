#ifndef FARFAULT_TEST_INTEGRATION_CLI_COMMAND_H_
#define FARFAULT_TEST_INTEGRATION_CLI_COMMAND_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "test/support/command_process.h"

namespace farfault {

/// `farfault ARGUMENTS…`, the one that was built with the tests.
std::vector<std::string> Farfault(const std::vector<std::string>& arguments);

/// More than any of these tests needs, also under a sanitizer on a busy machine; less than a test may take.
inline constexpr absl::Duration kPatience = absl::Seconds(200);

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_CLI_COMMAND_H_
