#ifndef FARFAULT_LIB_SIM_SCENE_H_
#define FARFAULT_LIB_SIM_SCENE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lib/page/page_layout.h"
#include "lib/sim/trace.h"
#include "lib/sim/world_config.h"
#include "lib/util/clock.h"
#include "lib/util/splitmix.h"

namespace farfault::sim {

/// An invariant that does not hold.
struct Violation {
  std::string_view checker;
  std::string text;
  Nanos at = 0;
};

/// What everything in a world shares: its time, its dice, its trace, and the first violation.
class Scene final : public Clock {
 public:
  Scene(const WorldConfig& world_config, PageLayout world_layout)
      : config(world_config), layout(std::move(world_layout)), random(world_config.seed) {}

  Nanos Now() const override { return now; }
  void Note(std::string_view what, std::uint64_t first = 0, std::uint64_t second = 0) {
    trace.Add(now, what, first, second);
  }
  /// The first one ends the run.
  void Report(std::string_view checker, std::string text) {
    if (!violation) violation = Violation{checker, std::move(text), now};
  }
  /// Once in `n` times; never for 0.
  bool Chance(std::uint64_t n) { return n > 0 && random.OneIn(n); }
  /// In [0, most].
  Nanos UpTo(Nanos most) { return static_cast<Nanos>(random.Between(0, static_cast<std::uint64_t>(most))); }

  const WorldConfig& config;
  const PageLayout layout;
  Nanos now = 0;
  SplitMix64 random;
  Trace trace;
  std::optional<Violation> violation;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_SCENE_H_
