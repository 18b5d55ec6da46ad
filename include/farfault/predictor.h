#ifndef FARFAULT_PREDICTOR_H_
#define FARFAULT_PREDICTOR_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/export.h"
#include "farfault/page.h"

namespace farfault {

/// Decides in which order the source pushes pages. This is farfault's extension point: derive from it,
/// hand an instance to `SourceOptions::predictor`.
///
/// The pusher drops what is already sent, wanted by the destination or a hole, so a policy may repeat
/// itself and need not keep books. When a policy has no opinion the pusher sweeps the rest in ascending order, so
/// every migration ends whatever the policy does.
///
/// Thread contract: after the session has been created all calls come from the session's own thread, one at a
/// time. An implementation needs no lock. It must not block: every microsecond here delays the push.
/// Lifetime: owned by the session.
class FARFAULT_EXPORT Predictor {
 public:
  virtual ~Predictor() = default;

  /// The layout of the memory, once, before any other call: `regions[i]` is the run of region i's pages.
  virtual void OnLayout(std::span<const PageRun> regions) { static_cast<void>(regions); }

  /// What the guest touched before the switchover, hottest first. Called at most once, at the switchover, and
  /// only when the session recorded access history.
  virtual void OnHistory(std::span<const PageHeat> hottest_first) { static_cast<void>(hottest_first); }

  /// The destination reported a far fault on `page`. `when` comes from the session's clock: only
  /// differences between such times mean anything.
  virtual void OnFault(PageIndex page, absl::Time when) = 0;

  /// Writes the runs that should be pushed next, best first, and returns how many; 0 means no opinion.
  /// The runs may be clipped or split. Pages outside the layout are dropped and counted in
  /// `SessionStats::predictor_out_of_range`.
  virtual std::size_t Next(std::span<PageRun> out) = 0;
};

/// The policies that come with farfault: "none", "sequential", "bubbling" (pivots that grow in both
/// directions around recent faults; Hines and Gopalan, VEE 2009), and variants of the last one by suffix:
/// "bubbling:pivots=1", "bubbling:pivots=8,direction=forward". kInvalidArgument names the known ones.
FARFAULT_EXPORT absl::StatusOr<std::unique_ptr<Predictor>> MakePredictor(std::string_view specification);

/// One line per policy, for help texts: name and what it is good for.
struct PredictorDescription {
  std::string name;
  std::string summary;
};
FARFAULT_EXPORT std::vector<PredictorDescription> KnownPredictors();

}  // namespace farfault

#endif  // FARFAULT_PREDICTOR_H_
