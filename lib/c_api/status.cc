#include "lib/c_api/status.h"

#include <fmt/format.h>

#include <new>
#include <string>

#include "farfault/c/version.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

thread_local std::string error_text;
// What `farfault_error_text` answers: the above, or a constant when there is no memory for the text.
thread_local const char* error_pointer = "";

}  // namespace

enum farfault_status Report(enum farfault_status status, std::string_view text) noexcept {
  try {
    error_text = text;
    error_pointer = error_text.c_str();
  } catch (const std::bad_alloc&) {
    error_pointer = "there is no memory left, not even for what has failed";
  }
  return status;
}

enum farfault_status Report(const absl::Status& status) noexcept {
  if (status.ok()) return FARFAULT_OK;
  return Report(static_cast<enum farfault_status>(status.code()), StatusText(status));
}

enum farfault_status ReportException() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return Report(FARFAULT_RESOURCE_EXHAUSTED, "there is not enough memory in this process");
  } catch (const std::exception& error) {
    return Report(FARFAULT_INTERNAL, error.what());
  } catch (...) {
    return Report(FARFAULT_INTERNAL, "an exception of an unknown type");
  }
}

absl::Status NullError(const char* name) { return absl::InvalidArgumentError(fmt::format("{} is NULL", name)); }

absl::Status FromCaller(enum farfault_status status, std::string_view whose) {
  const auto code = static_cast<int>(status);
  if (code == 0) return absl::OkStatus();
  const bool known = code >= 0 && code <= FARFAULT_UNAUTHENTICATED;
  return {known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
          fmt::format("{} returned {} ({})", whose, code, farfault_status_name(status))};
}

}  // namespace farfault

const char* farfault_error_text(void) { return farfault::error_pointer; }

const char* farfault_status_name(enum farfault_status status) {
  switch (status) {
    case FARFAULT_OK:
      return "OK";
    case FARFAULT_CANCELLED:
      return "CANCELLED";
    case FARFAULT_UNKNOWN:
      return "UNKNOWN";
    case FARFAULT_INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case FARFAULT_DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case FARFAULT_NOT_FOUND:
      return "NOT_FOUND";
    case FARFAULT_ALREADY_EXISTS:
      return "ALREADY_EXISTS";
    case FARFAULT_PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case FARFAULT_RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case FARFAULT_FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case FARFAULT_ABORTED:
      return "ABORTED";
    case FARFAULT_OUT_OF_RANGE:
      return "OUT_OF_RANGE";
    case FARFAULT_UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case FARFAULT_INTERNAL:
      return "INTERNAL";
    case FARFAULT_UNAVAILABLE:
      return "UNAVAILABLE";
    case FARFAULT_DATA_LOSS:
      return "DATA_LOSS";
    case FARFAULT_UNAUTHENTICATED:
      return "UNAUTHENTICATED";
  }
  return "UNKNOWN";
}

// Views of constants that end in NUL.
const char* farfault_version(void) { return farfault::Version().data(); }
const char* farfault_transport_names(void) {
  return farfault::GuardedValue("", [] { return farfault::TransportNames().data(); });
}
