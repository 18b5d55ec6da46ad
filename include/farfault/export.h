#ifndef FARFAULT_EXPORT_H_
#define FARFAULT_EXPORT_H_

// What the shared library shows; everything else in it is hidden.
#define FARFAULT_EXPORT __attribute__((visibility("default")))

#endif  // FARFAULT_EXPORT_H_
