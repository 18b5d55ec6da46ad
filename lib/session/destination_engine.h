#ifndef FARFAULT_LIB_SESSION_DESTINATION_ENGINE_H_
#define FARFAULT_LIB_SESSION_DESTINATION_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "farfault/stats.h"
#include "lib/demand/demand_reader.h"
#include "lib/fault/fault_feed.h"
#include "lib/page/page_layout.h"
#include "lib/page/page_table.h"
#include "lib/page/placement.h"
#include "lib/push/run_list_receiver.h"
#include "lib/session/control_link.h"
#include "lib/session/demand_arrivals.h"
#include "lib/session/destination_control.h"
#include "lib/session/destination_pages.h"
#include "lib/session/destination_progress.h"
#include "lib/session/fault_answerer.h"
#include "lib/session/peer.h"
#include "lib/session/push_arrivals.h"
#include "lib/util/clock.h"

namespace farfault {

/// The destination's half of a session, polled: it answers faults with READs, takes pushed pages in, and maps what has
/// landed. No threads, no clock and no system calls of its own. One thread. Everything that it is given outlives it.
///
/// This class decides in which order things are looked at. What is done is its parts': FaultAnswerer and DemandArrivals
/// (faults, discards, READs), PushArrivals (WRITEs), DestinationControl (the source's messages), on DestinationPages.
class DestinationEngine {
 public:
  using Phase = DestinationPhase;

  struct Config {
    std::uint32_t demand_slots = 128;
    std::size_t map_around_pages = 16;
    FaultAnswerer::Config faults;
  };

  struct World {
    const PageLayout& layout;
    SourcePeer& source;  ///< Grows until the switchover.
    ControlLink& control;
    std::vector<Channel*> demand_channels;
    RunListReceiver::Resources push;
    DemandReader::Scratch scratch;
    PagePlacement& placement;
    FaultFeed& faults;
    const Clock& clock;
    /// Where the table of pages lives, with what an earlier engine has left there; empty: in the engine, all absent.
    std::span<std::uint8_t> page_states = {};
    /// Called once, when all that is stale has been taken back, and before anybody hears that the guest may run here:
    /// from now on `page_states` tells the truth. May be empty.
    std::function<void()> before_guest_runs = {};
  };

  DestinationEngine(World world, const Config& config);
  DestinationEngine(const DestinationEngine&) = delete;
  DestinationEngine& operator=(const DestinationEngine&) = delete;

  /// Takes one round through everything that may have happened. False: nothing did, the caller may sleep.
  bool Poll();

  /// From now on the guest may be started as soon as the source hands it over; the source is told so. Idempotent.
  void AllowActivation() { control_.AllowActivation(); }
  /// Before anything else: these pages are the guest's already, and are not asked for.
  void TakeOver(PageRun mapped);
  /// Before anything else: whatever comes of these pages before the switchover is dropped, and they are READ
  /// afterwards.
  void RefusePrePaged(PageRun run);
  /// Read ahead of demand what is missing.
  void FetchRest() { fetch_rest_ = true; }
  /// Read these ahead of demand, in this order; runs inside the memory.
  void Fetch(std::vector<PageRun> order) { demand_.AddOrder(std::move(order)); }
  /// With FaultAnswerer::Config::record; a page may stand there more than once.
  const std::vector<PageIndex>& fault_order() const { return answerer_.fault_order(); }
  /// Gives up: tells the peer, answers nothing more.
  void Fail(absl::Status status) { progress_.Fail(std::move(status)); }

  Phase phase() const { return progress_.phase(); }
  /// The guest has been handed over; it may be running here even after a failure.
  bool guest_may_run() const { return progress_.guest_may_run(); }
  const absl::Status& failure() const { return progress_.failure(); }
  /// Poll looks for faults. False: what waits in the kernel is left there for now.
  bool takes_faults() const { return !progress_.failed() && answerer_.takes_faults(); }
  /// Every page is mapped or a hole: userfaultfd may be disarmed.
  bool all_mapped() const { return progress_.all_mapped(); }
  std::uint64_t resident_pages() const { return progress_.resident_pages(); }
  /// Grows with every fault and every page that was demanded for one.
  std::uint64_t demand_steps() const;
  const PageTable& table() const { return table_; }
  SessionStats Stats() const;

 private:
  bool ReadAhead();
  bool MapInBackground();

  ControlLink& link_;
  PageTable table_;
  DestinationProgress progress_;
  DestinationPages pages_;
  DemandArrivals demand_;
  FaultAnswerer answerer_;
  PushArrivals push_;
  DestinationControl control_;
  bool fetch_rest_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_DESTINATION_ENGINE_H_
