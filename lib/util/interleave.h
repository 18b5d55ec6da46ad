#ifndef FARFAULT_LIB_UTIL_INTERLEAVE_H_
#define FARFAULT_LIB_UTIL_INTERLEAVE_H_

namespace farfault {

/// A place in the middle of a protocol step where the other side may be faster. In the simulation's build time may pass
/// here; in every other build it vanishes.
#ifdef FARFAULT_INTERLEAVE
void InterleavePoint();
#else
constexpr void InterleavePoint() {}
#endif

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_INTERLEAVE_H_
