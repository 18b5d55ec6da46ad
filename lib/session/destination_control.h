#ifndef FARFAULT_LIB_SESSION_DESTINATION_CONTROL_H_
#define FARFAULT_LIB_SESSION_DESTINATION_CONTROL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "farfault/page.h"
#include "lib/page/extent_table.h"
#include "lib/session/control_link.h"
#include "lib/session/destination_pages.h"
#include "lib/session/destination_progress.h"
#include "lib/session/push_arrivals.h"
#include "lib/session/wire.h"

namespace farfault {

/// The destination's half of the conversation on the control channel: the switchover with its dirty set, the holes, the
/// end of the push, and the goodbye. One thread.
class DestinationControl {
 public:
  /// `before_guest_runs`: see DestinationEngine::World.
  DestinationControl(DestinationPages& pages, DestinationProgress& progress, const PushArrivals& arrivals,
                     ExtentTable& source_memory, ControlLink& link, std::function<void()> before_guest_runs)
      : pages_(pages),
        progress_(progress),
        arrivals_(arrivals),
        source_memory_(source_memory),
        link_(link),
        before_guest_runs_(std::move(before_guest_runs)) {}

  /// The guest may be started as soon as the source hands it over; the source is told so. Idempotent.
  void AllowActivation();
  /// Takes a message, or goes on with the last one. True when there was something.
  bool Take();
  /// The guest may run when the switchover has arrived, is allowed, and nothing that was sent before it is on its way.
  bool FinishSwitchOver();
  /// Tells the source, once, that nothing is missing here.
  bool TellWhenResident();
  /// Nothing more will be pushed.
  bool pushed_all() const { return push_complete_received_ && arrivals_.HasTakenIn(push_complete_.lists_sent); }

 private:
  bool TakeMessage();
  void OnMessage(const ControlMessage& message);
  void OnExtents(const ControlMessage& message);
  void OnDirty(const ControlMessage& message);
  void OnSwitchOver(const ControlMessage& message);
  bool OnPushComplete(const ControlMessage& message);
  void OnHoles(const ControlMessage& message);
  void ForgetDirty();
  bool TakeHoles();

  DestinationPages& pages_;
  DestinationProgress& progress_;
  const PushArrivals& arrivals_;
  ExtentTable& source_memory_;
  ControlLink& link_;
  const std::function<void()> before_guest_runs_;

  bool activation_allowed_ = false;
  bool push_complete_received_ = false;
  SwitchOverMessage switch_over_;
  PushCompleteMessage push_complete_;
  std::vector<PageRun> dirty_;
  std::uint64_t dirty_pages_ = 0;
  std::uint64_t hole_pages_ = 0;
  std::vector<PageRun> holes_;  // Of the last kHoles: still to be entered into the table.
  std::size_t next_hole_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_DESTINATION_CONTROL_H_
