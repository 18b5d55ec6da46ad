#ifndef FARFAULT_TEST_C_API_CHECK_H_
#define FARFAULT_TEST_C_API_CHECK_H_

#include <stdio.h>
#include <string.h>

#include "farfault/c.h"

// Checks for cases in C: `failures` is a variable of the case.
#define CHECK(condition)                                                                                     \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      ++failures;                                                                                            \
      fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, farfault_error_text()); \
    }                                                                                                        \
  } while (0)

#define CHECK_OK(call) CHECK((call) == FARFAULT_OK)

/// The call fails with that status, and the text says `part`.
#define CHECK_FAILS(call, status, part)                   \
  do {                                                    \
    CHECK((call) == (status));                            \
    CHECK(strstr(farfault_error_text(), (part)) != NULL); \
  } while (0)

#endif  // FARFAULT_TEST_C_API_CHECK_H_
