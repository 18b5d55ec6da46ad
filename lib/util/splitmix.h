#ifndef FARFAULT_LIB_UTIL_SPLITMIX_H_
#define FARFAULT_LIB_UTIL_SPLITMIX_H_

#include <cstdint>

namespace farfault {

/// SplitMix64: small, fast, the same numbers on every platform for the same seed. Not for secrets.
class SplitMix64 {
 public:
  explicit SplitMix64(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t value = (state_ += 0x9e3779b97f4a7c15u);
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
  }

  /// In [0, bound); 0 for bound 0.
  std::uint64_t Below(std::uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }
  /// In [low, high].
  std::uint64_t Between(std::uint64_t low, std::uint64_t high) { return low + Below(high - low + 1); }
  /// In [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  /// True once in `n` times.
  bool OneIn(std::uint64_t n) { return Below(n) == 0; }
  /// A generator that is made with it goes on from here.
  std::uint64_t state() const { return state_; }

 private:
  std::uint64_t state_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_SPLITMIX_H_
