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

/// SplitMix64: one word of state, so that a program's whole randomness moves with its registers.
class Random {
 public:
  explicit Random(std::uint64_t state) : state_(state) {}

  std::uint64_t Next();
  /// Uniform in [0, bound); `bound` is not 0.
  std::uint64_t Below(std::uint64_t bound);
  /// Uniform in [0, 1).
  double Unit();
  std::uint64_t state() const { return state_; }

 private:
  std::uint64_t state_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_CHECKSUM_H_
