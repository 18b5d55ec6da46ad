#ifndef FARFAULT_LIB_CLI_DEMO_DEMO_MEMORY_H_
#define FARFAULT_LIB_CLI_DEMO_DEMO_MEMORY_H_

#include "absl/status/status.h"
#include "lib/cli/demo/demo_options.h"
#include "lib/cli/demo/plan.h"

namespace farfault {

/// kResourceExhausted when this host's memory does not suffice for its part of the demo, naming the largest size that
/// fits; kInvalidArgument when there is too little for the program.
absl::Status CheckDemoMemory(const DemoOptions& options, const GuestPlan& guest);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_DEMO_MEMORY_H_
