#ifndef FARFAULT_LIB_UTIL_STATUS_TEXT_H_
#define FARFAULT_LIB_UTIL_STATUS_TEXT_H_

#include <string_view>

#include "absl/status/status.h"

namespace farfault {

/// The message of a status as a standard view, which Abseil's own is not in every build of it. Valid as long as
/// `status`.
inline std::string_view StatusText(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_STATUS_TEXT_H_
