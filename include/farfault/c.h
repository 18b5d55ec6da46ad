#ifndef FARFAULT_C_H_
#define FARFAULT_C_H_

// farfault for C11, and for whatever else can call C. It is the C++ API of farfault/farfault.h one to one, and links
// the same library: `pkg-config --cflags --libs farfault`, or the CMake target farfault::farfault. The headers below
// hold the contracts.
//
// Handles. What `farfault_X_create` and the like make is a pointer to a struct whose inside is not shown;
// `farfault_X_destroy` ends it and takes NULL as well. Everything else needs handles and pointers that are not NULL
// unless it says otherwise. A handle that is an out parameter is set only when the call succeeds.
//
// Errors. Functions that can fail return `enum farfault_status`. What failed, with which value, and what can be done is
// then `farfault_error_text()`, of the calling thread, in the words of the C++ API. No C++ exception leaves the
// library: it becomes FARFAULT_RESOURCE_EXHAUSTED (no memory) or FARFAULT_INTERNAL.
//
// Structs that begin with `struct_size` may grow at their end in later versions. Give each a value with its
// `farfault_X_init(&x, sizeof x)`; or where there is no such function, zero it and set `struct_size = sizeof x`. The
// library reads and writes no further than that. Fields that an older program does not know have their defaults, and
// zero in them always means the default. A newer program whose unknown fields are not zero gets FARFAULT_UNIMPLEMENTED.
// Structs without `struct_size` never change.
//
// Values. Strings end in NUL; they, and what else is passed by pointer, are copied during the call. Times are in
// nanoseconds (`…_ns`); FARFAULT_FOREVER waits without end. Sizes are in bytes. Pages are numbered as in
// farfault/page.h.
//
// Threads. Functions on a session may be called from any thread, except that nobody may be inside one when the session
// is destroyed. Other handles are used by one thread at a time; reading them is fine from many.
//
// Callbacks get the `user_data` that came with them, which lives until the session is destroyed, or until the call that
// makes the session has failed. They neither throw nor longjmp, do not call functions on their session, and return
// soon. Where they run is said at each.
//
// Until version 1.0 the ABI may change with every minor version, and the name of the shared library with it.

#include "farfault/c/dirty_log.h"
#include "farfault/c/events.h"
#include "farfault/c/external_guest.h"
#include "farfault/c/memory.h"
#include "farfault/c/options.h"
#include "farfault/c/predictor.h"
#include "farfault/c/session.h"
#include "farfault/c/stats.h"
#include "farfault/c/status.h"
#include "farfault/c/version.h"

#endif  // FARFAULT_C_H_
