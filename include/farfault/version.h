#ifndef FARFAULT_VERSION_H_
#define FARFAULT_VERSION_H_

#include <string_view>

#define FARFAULT_VERSION_MAJOR 0
#define FARFAULT_VERSION_MINOR 1
#define FARFAULT_VERSION_PATCH 0

namespace farfault {

/// The version of the library that is linked, "0.1.0". The macros are those of the headers.
std::string_view Version();

/// The transports that this build can use: "tcp", "sim", and "verbs" where libibverbs was there.
std::string_view TransportNames();

}  // namespace farfault

#endif  // FARFAULT_VERSION_H_
