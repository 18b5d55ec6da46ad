#ifndef FARFAULT_LIB_CLI_WORKLOAD_CHECKSUM_H_
#define FARFAULT_LIB_CLI_WORKLOAD_CHECKSUM_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace farfault {

/// 64-bit checksum of bytes, several GB/s, not cryptographic. Depends on the length.
std::uint64_t Checksum(std::span<const std::byte> bytes);

/// The same of a few words.
std::uint64_t Checksum(std::initializer_list<std::uint64_t> words);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_CHECKSUM_H_
