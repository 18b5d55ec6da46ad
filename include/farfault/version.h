#ifndef FARFAULT_VERSION_H_
#define FARFAULT_VERSION_H_

// The one place that says which version this is; the build reads it from here.
#define FARFAULT_VERSION_MAJOR 0
#define FARFAULT_VERSION_MINOR 1
#define FARFAULT_VERSION_PATCH 0

#ifdef __cplusplus

#include <string_view>

#include "farfault/export.h"

namespace farfault {

/// The version of the library that is linked, "0.1.0". The macros are those of the headers.
FARFAULT_EXPORT std::string_view Version();

/// The transports that this build can use: "tcp", "sim", and "verbs" where libibverbs was there.
FARFAULT_EXPORT std::string_view TransportNames();

}  // namespace farfault

#endif  // __cplusplus

#endif  // FARFAULT_VERSION_H_
