#ifndef FARFAULT_LIB_RUNTIME_CHECK_OPTIONS_H_
#define FARFAULT_LIB_RUNTIME_CHECK_OPTIONS_H_

#include "absl/status/status.h"
#include "farfault/guest_memory.h"
#include "farfault/options.h"

namespace farfault {

// kInvalidArgument naming the option, its value and the range that it may have.
absl::Status CheckOptions(const SessionOptions& options);
absl::Status CheckOptions(const SourceOptions& options, const GuestMemory& memory);
absl::Status CheckOptions(const DestinationOptions& options, const GuestMemory& memory);
absl::Status CheckBudget(const PrePageBudget& budget, const GuestMemory& memory);

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_CHECK_OPTIONS_H_
