#ifndef FARFAULT_LIB_SESSION_SOURCE_ENGINE_H_
#define FARFAULT_LIB_SESSION_SOURCE_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "farfault/options.h"
#include "farfault/page.h"
#include "farfault/predictor.h"
#include "farfault/stats.h"
#include "lib/page/claim.h"
#include "lib/page/page_layout.h"
#include "lib/push/pusher.h"
#include "lib/session/control_link.h"
#include "lib/session/peer.h"
#include "lib/util/clock.h"

namespace farfault {

/// The source's half of a session, polled: it pre-pages what it is offered, hands the guest over, and pushes the rest.
/// Demand reads are served by the transport; nothing here has to run for them. No threads, no clock and no system calls
/// of its own. One thread. Everything that it is given outlives it.
class SourceEngine {
 public:
  enum class Phase : std::uint8_t {
    kPrePaging,     ///< The guest runs here.
    kDraining,      ///< It has stopped; what was pre-paged is still on its way.
    kSwitching,     ///< The destination has been asked to take over.
    kSwitchedOver,  ///< It runs there.
    kDrained,       ///< The destination has everything.
    kFailed,
  };

  struct World {
    const PageLayout& layout;
    const DestinationPeer& destination;
    ControlLink& control;
    SourceTables tables;
    Pusher::Resources push;
    Predictor& predictor;
    const Clock& clock;
  };

  SourceEngine(World world, const PushOptions& options);

  /// Takes one round. False: nothing happened, the caller may sleep.
  bool Poll();

  // Before the switchover.
  /// Tells the destination which key opens which pages: more of what it has been told in the handshake.
  void Offer(std::span<const Extent> extents);
  void OfferPrePage(std::span<const PageRun> runs);
  void DropOffers() { pusher_.DropOffers(); }
  bool prepaging_idle() const { return !pusher_.has_offers() && pusher_.idle(); }
  /// Written since it was sent: send again when offered.
  void MarkStale(PageRun run);
  /// What it takes to go on is written one-sidedly by the destination, and nothing will wake us: look again soon.
  bool waits_for_credit() const { return !over() && pusher_.waits_for_credit(); }
  /// The guest runs there and nothing is left to push or to say: until a message comes there is nothing to do here,
  /// however many pages the destination reads.
  bool at_rest() const;
  /// What the destination has and what has not become stale.
  const PageBitmap& fresh() const { return pusher_.settled(); }

  /// The guest has stopped. `dirty`: pages written since they were sent.
  void BeginSwitchOver(std::vector<PageRun> dirty, std::span<const PageHeat> hottest_first);
  /// The destination has said that its guest may run. Stays true whatever happens later.
  bool handed_over() const { return handed_over_; }
  /// The engine failed while the destination had been asked to take over and had not answered: it may run there.
  bool outcome_unknown() const { return outcome_unknown_; }
  /// It is the destination that has failed, and has said so.
  bool refused() const { return refused_; }
  /// After the switchover, once: what was never populated, and is not `dirty`. The push of everything begins.
  void StartPush(std::span<const PageRun> holes);

  void Fail(absl::Status status);

  Phase phase() const { return phase_; }
  const absl::Status& failure() const { return failure_; }
  SessionStats Stats() const;

 private:
  bool over() const { return phase_ == Phase::kFailed || phase_ == Phase::kDrained; }
  bool TakeControl();
  void OnMessage(const ControlMessage& message);
  bool TakeHints();
  bool SendSwitchOver();
  bool ReportComplete();

  World world_;
  bool push_enabled_;
  std::size_t push_channels_;
  Pusher pusher_;
  Phase phase_ = Phase::kPrePaging;
  absl::Status failure_;
  std::vector<PageRun> dirty_;
  bool destination_ready_ = false;
  bool handed_over_ = false;
  bool outcome_unknown_ = false;
  bool refused_ = false;
  bool push_started_ = false;
  bool complete_reported_ = false;
  std::uint64_t next_hint_ = 1;
  SessionStats stats_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_SOURCE_ENGINE_H_
