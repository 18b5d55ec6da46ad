#ifndef FARFAULT_LIB_UTIL_STATUS_TEXT_H_
#define FARFAULT_LIB_UTIL_STATUS_TEXT_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace farfault {

/// The message of a status as a standard view, which Abseil's own is not in every build of it. Valid as long as
/// `status`.
inline std::string_view StatusText(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

/// ": REASON", to go behind a sentence; empty when there is no reason.
inline std::string Because(const absl::Status& reason) {
  return reason.ok() ? std::string() : ": " + std::string(StatusText(reason));
}

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_STATUS_TEXT_H_
