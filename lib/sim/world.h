#ifndef FARFAULT_LIB_SIM_WORLD_H_
#define FARFAULT_LIB_SIM_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "farfault/stats.h"
#include "lib/page/page_bitmap.h"
#include "lib/sim/page_image.h"
#include "lib/sim/scene.h"
#include "lib/sim/sim_guest.h"
#include "lib/sim/sim_kernel.h"
#include "lib/sim/wire_checkers.h"
#include "lib/sim/world_config.h"
#include "lib/sim/world_sides.h"
#include "lib/transport/sim/event_heap.h"
#include "lib/transport/sim/sim_fabric.h"

namespace farfault::sim {

/// How a simulated migration went.
struct WorldResult {
  std::optional<Violation> violation;
  bool failed = false;  ///< The session failed, as the script asked for.
  std::string failure;
  Nanos virtual_time = 0;
  Nanos switched_over_at = 0;
  std::uint64_t steps = 0;
  std::uint64_t trace_hash = 0;
  std::string trace_tail;
  std::uint64_t discarded_pages = 0;  ///< At the destination.
  SessionStats source;
  SessionStats destination;
};

/// One migration from beginning to end: the engines that ship, a guest, two kernels' worth of trouble and a wire, all
/// on a virtual clock and all decided by the configuration. One thread; several worlds may run in several threads.
class World {
 public:
  explicit World(const WorldConfig& config);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void set_echo(bool echo) { scene_.trace.set_echo(echo); }
  /// Runs to the end, or to the first violation.
  WorldResult Run();

 private:
  enum class Actor : std::uint8_t {
    kSourceThread,
    kDestinationThread,
    kVcpu,
    kSourceWrite,
    kPrePageRound,
    kAllowActivation,
    kStartPush,
    kFetchRest,
    kReclaim,
    kEarlyDiscard,
    kEarlyZap,
  };
  struct Event {
    Actor actor = Actor::kVcpu;
    std::uint64_t index = 0;  // Of the vCPU; for a thread: the sleep that this ends.
  };
  struct Thread {
    bool asleep = false;
    bool polling = false;
    std::uint64_t sleep = 0;
    Nanos busy_until = 0;
  };

  static PageLayout LayoutOf(const WorldConfig& config);

  // world_loop.cc: time.
  void At(Nanos when, Actor actor, std::uint64_t index = 0) {
    agenda_.Push(when, scene_.random.Next(), {actor, index});
  }
  Nanos NextMoment() const;
  /// Lets everything happen that happens at the next moment, but nothing that the source's thread does while it is
  /// inside a poll.
  void Step();
  void Preempt();
  static void PreemptCurrent(void* world);
  void Wake(Thread& thread, Actor actor);
  void AfterPoll(Thread& thread, Actor actor, bool progress, Nanos cost);
  void PollSource();
  void PollDestination();
  void RunVcpu(std::size_t vcpu);
  void Handle(const Event& event);

  // world.cc: what happens to the session.
  void AllowActivation();
  void EarlyDiscard();
  void EarlyZap();
  void PrePageRound();
  void SwitchOver();
  void NoteStale();
  void OnGuestMoved();
  void WatchPhases();
  bool Finished();
  bool OutOfPatience() const;

  // world_checks.cc: what holds.
  void CheckTable();
  void CheckFailure();
  void CheckOneGuest();
  void CheckEnd();

  const WorldConfig config_;
  Scene scene_;
  std::shared_ptr<SimFabric> fabric_;
  PageImage source_image_;
  SimKernel kernel_;
  SimGuest guest_;
  WireCheckers wire_;
  SourceSide source_;
  DestinationSide destination_;

  EventHeap<Event> agenda_;
  std::vector<Event> deferred_;  // What waits for the source's thread to finish its poll.
  Thread source_thread_;
  Thread destination_thread_;
  PageBitmap stale_;            // Written since it was sent, as far as the source's side has noticed.
  std::vector<PageRun> dirty_;  // What of it the destination is told when the guest has stopped, page by page.
  std::size_t rounds_done_ = 0;
  bool guest_stopped_ = false;
  bool guest_moved_ = false;
  bool activation_allowed_ = false;
  PageRun early_discard_;  // Under way; empty: none.
  bool push_start_planned_ = false;
  bool fetch_rest_called_ = false;
  std::optional<Nanos> settled_at_;
  Nanos moved_at_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t polls_ = 0;
};

/// The seed's random world, run.
WorldResult RunSeed(std::uint64_t seed, bool echo = false);

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_WORLD_H_
