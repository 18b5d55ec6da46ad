#ifndef FARFAULT_LIB_UTIL_MUTANT_H_
#define FARFAULT_LIB_UTIL_MUTANT_H_

namespace farfault {

/// Steps of the protocols without which pages would be corrupted. The simulation is built once more per mutant with one
/// of them left out, to show that its checkers notice. In every other build the questions below are constant and
/// vanish.
enum class Mutant {
  kNone = 0,
  kSkipSecondLook = 1,   ///< The source does not look at `want` again after it has claimed.
  kMapOnPosted = 2,      ///< The destination maps although the claim says that a push is on its way.
  kIgnoreDirtySet = 3,   ///< The destination keeps pre-paged pages that were written afterwards.
  kMapWithoutRead = 4,   ///< A push that arrives while the READ is out is mapped at once.
  kApplyDirtyEarly = 5,  ///< The dirty set is applied before the run lists that were sent ahead of it.
  kIgnoreDiscards = 6,   ///< The destination maps what comes for a page that the guest has given back.
  kShowPrePaged = 7,     ///< Pages of the staging ring are mapped before the switchover.
};

#ifdef FARFAULT_MUTANT
inline constexpr Mutant kMutant = static_cast<Mutant>(FARFAULT_MUTANT);
#else
inline constexpr Mutant kMutant = Mutant::kNone;
#endif

constexpr bool MutantIs(Mutant mutant) { return kMutant == mutant; }

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_MUTANT_H_
