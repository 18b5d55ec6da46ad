#ifndef FARFAULT_C_VERSION_H_
#define FARFAULT_C_VERSION_H_

// FARFAULT_VERSION_MAJOR, _MINOR and _PATCH: the version of these headers.
#include "farfault/export.h"
#include "farfault/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/// The version of the library that is linked, "0.1.0". A constant.
FARFAULT_EXPORT const char* farfault_version(void);

/// The transports that this build can use, in one line: "tcp", "sim", and "verbs" where libibverbs was there. A
/// constant.
FARFAULT_EXPORT const char* farfault_transport_names(void);

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_VERSION_H_
