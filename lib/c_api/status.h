#ifndef FARFAULT_LIB_C_API_STATUS_H_
#define FARFAULT_LIB_C_API_STATUS_H_

#include <exception>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "farfault/c/status.h"

namespace farfault {

/// Keeps the text for `farfault_error_text` unless `status` is OK.
enum farfault_status Report(const absl::Status& status) noexcept;
enum farfault_status Report(enum farfault_status status, std::string_view text) noexcept;
/// What to do inside a catch block: reports the exception.
enum farfault_status ReportException() noexcept;

/// Runs `body`, which returns an absl::Status, and lets no exception out.
template <typename Body>
enum farfault_status Guarded(const Body& body) noexcept {
  try {
    return Report(body());
  } catch (...) {
    return ReportException();
  }
}

/// The same for functions that return something else, which is `otherwise` when `body` throws.
template <typename Value, typename Body>
Value GuardedValue(Value otherwise, const Body& body) noexcept {
  try {
    return body();
  } catch (...) {
    ReportException();
    return otherwise;
  }
}

absl::Status NullError(const char* name);

/// kInvalidArgument when one of the pointers is null, with its name.
template <typename T, typename... More>
absl::Status NotNull(const T* pointer, const char* name, More... more) {
  if (pointer == nullptr) return NullError(name);
  if constexpr (sizeof...(more) > 0) {
    return NotNull(more...);
  } else {
    return absl::OkStatus();
  }
}

/// A status that the caller's code has made.
absl::Status FromCaller(enum farfault_status status, std::string_view whose);

inline absl::Duration DurationOf(std::int64_t nanoseconds) {
  return nanoseconds == FARFAULT_FOREVER ? absl::InfiniteDuration() : absl::Nanoseconds(nanoseconds);
}

}  // namespace farfault

#endif  // FARFAULT_LIB_C_API_STATUS_H_
