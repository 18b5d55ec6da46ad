#ifndef FARFAULT_C_STATUS_H_
#define FARFAULT_C_STATUS_H_

#include <stdint.h>

#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A time that never ends.
#define FARFAULT_FOREVER INT64_MAX

/// The values are those of `absl::StatusCode`.
enum farfault_status {
  FARFAULT_OK = 0,
  FARFAULT_CANCELLED = 1,
  FARFAULT_UNKNOWN = 2,
  FARFAULT_INVALID_ARGUMENT = 3,
  FARFAULT_DEADLINE_EXCEEDED = 4,
  FARFAULT_NOT_FOUND = 5,
  FARFAULT_ALREADY_EXISTS = 6,
  FARFAULT_PERMISSION_DENIED = 7,
  FARFAULT_RESOURCE_EXHAUSTED = 8,
  FARFAULT_FAILED_PRECONDITION = 9,
  FARFAULT_ABORTED = 10,
  FARFAULT_OUT_OF_RANGE = 11,
  FARFAULT_UNIMPLEMENTED = 12,
  FARFAULT_INTERNAL = 13,
  FARFAULT_UNAVAILABLE = 14,
  FARFAULT_DATA_LOSS = 15,
  FARFAULT_UNAUTHENTICATED = 16
};

/// "OK", "INVALID_ARGUMENT" and so on; "UNKNOWN" for a value that is none of them. A constant.
FARFAULT_EXPORT const char* farfault_status_name(enum farfault_status status);

/// Says why the last call of this thread that returned another status than FARFAULT_OK did so; "" before the first.
/// Other threads do not change it. Valid until the next call of this thread that fails, and as long as the thread
/// lives.
FARFAULT_EXPORT const char* farfault_error_text(void);

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_STATUS_H_
