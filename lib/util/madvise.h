#ifndef FARFAULT_LIB_UTIL_MADVISE_H_
#define FARFAULT_LIB_UTIL_MADVISE_H_

#include <sys/mman.h>

// Advice that kernels know and the headers of older C libraries do not (linux/mman.h).
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#endif  // FARFAULT_LIB_UTIL_MADVISE_H_
