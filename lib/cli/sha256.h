#ifndef FARFAULT_LIB_CLI_SHA256_H_
#define FARFAULT_LIB_CLI_SHA256_H_

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace farfault {

/// In hexadecimal, as sha256sum prints it. `progress` is called now and then with the bytes done. kInternal when
/// OpenSSL offers no SHA-256.
absl::StatusOr<std::string> Sha256(std::span<const std::byte> bytes, const std::function<void(std::size_t)>& progress);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_SHA256_H_
