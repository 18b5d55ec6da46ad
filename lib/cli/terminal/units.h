#ifndef FARFAULT_LIB_CLI_TERMINAL_UNITS_H_
#define FARFAULT_LIB_CLI_TERMINAL_UNITS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace farfault {

/// "0 B", "4.00 KiB", "1.50 GiB": three significant digits, binary units.
std::string FormatBytes(std::uint64_t bytes);

/// "850 ns", "45.6 µs", "1.23 ms", "12.3 s", "5 min 03 s".
std::string FormatNanos(std::int64_t nanoseconds);

/// "262,144".
std::string FormatCount(std::uint64_t count);

/// "1GiB", "512M", "1.5 g" (binary), "10MB" (decimal), "4096" (bytes). kInvalidArgument says what is accepted.
absl::StatusOr<std::uint64_t> ParseBytes(std::string_view text);

/// "10s", "250ms", "1.5m", "0". Not negative; kInvalidArgument says what is accepted.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_TERMINAL_UNITS_H_
