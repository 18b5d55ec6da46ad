#ifndef FARFAULT_LIB_SESSION_DESTINATION_ENGINE_H_
#define FARFAULT_LIB_SESSION_DESTINATION_ENGINE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "farfault/page.h"
#include "farfault/stats.h"
#include "lib/demand/demand_reader.h"
#include "lib/fault/fault_feed.h"
#include "lib/fault/mapper.h"
#include "lib/fault/waiter_table.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/page_layout.h"
#include "lib/page/page_table.h"
#include "lib/page/placement.h"
#include "lib/push/run_list_receiver.h"
#include "lib/session/control_link.h"
#include "lib/session/peer.h"
#include "lib/util/clock.h"

namespace farfault {

/// The destination's half of a session, polled: it answers faults with READs, takes pushed pages in, and maps what has
/// landed. No threads, no clock and no system calls of its own. One thread. Everything that it is given outlives it.
class DestinationEngine {
 public:
  enum class Phase : std::uint8_t {
    kWaiting,        ///< The guest runs at the source; pre-paged pages come in.
    kSwitchArrived,  ///< The source has handed the guest over.
    kRunning,        ///< The guest may run here.
    kResident,       ///< Nothing is missing, and the source has been told.
    kDone,           ///< The source has said goodbye; what has landed may still have to be mapped.
    kFailed,
  };

  struct Config {
    std::uint32_t demand_slots = 128;
    std::size_t map_around_pages = 16;
  };

  struct World {
    const PageLayout& layout;
    const SourcePeer& source;
    ControlLink& control;
    std::vector<Channel*> demand_channels;
    RunListReceiver::Resources push;
    DemandReader::Scratch scratch;
    PagePlacement& placement;
    FaultFeed& faults;
    const Clock& clock;
  };

  DestinationEngine(World world, const Config& config);

  /// Takes one round through everything that may have happened. False: nothing did, the caller may sleep.
  bool Poll();

  /// From now on the guest may be started as soon as the source hands it over; the source is told so. Idempotent.
  void AllowActivation();
  /// Read ahead of demand what is missing.
  void FetchRest() { fetch_rest_ = true; }
  /// Gives up: tells the peer, answers nothing more.
  void Fail(absl::Status status);

  Phase phase() const { return phase_; }
  /// The guest has been handed over; it may be running here even after a failure.
  bool guest_may_run() const { return guest_may_run_; }
  const absl::Status& failure() const { return failure_; }
  /// Every page is mapped or a hole: userfaultfd may be disarmed.
  bool all_mapped() const { return table_.count(PageState::kMapped) + table_.count(PageState::kHole) == table_.size(); }
  std::uint64_t resident_pages() const;
  const PageTable& table() const { return table_; }
  SessionStats Stats() const;

 private:
  struct Unmapped {
    PageIndex page = 0;
    std::uint32_t slot = 0;
  };

  bool TakeControl();
  void OnMessage(const ControlMessage& message);
  void OnDirty(const ControlMessage& message);
  void OnSwitchOver(const ControlMessage& message);
  void OnHoles(const ControlMessage& message);
  bool ListsTakenIn(const std::array<std::uint64_t, kMaxPushChannels>& sent) const;
  bool FinishSwitchOver();
  void ForgetDirty();
  std::uint64_t ForgetRun(PageRun run);
  bool TakeHoles();

  bool TakeDemanded();
  void OnDemanded(const DemandedPage& demanded);
  bool MapDemanded(PageIndex page, std::uint32_t slot);
  void Land(PageIndex page);
  bool RetryUnmapped();

  bool TakeArrivals();
  std::uint64_t ArriveInPlace(PageRun run, bool prepaged);
  std::uint64_t ArriveStaged(const RunListReceiver::Arrival& arrival);
  bool InstallStaged(PageIndex page, const std::byte* bytes, bool prepaged);

  bool TakeFaults();
  void OnFault(PageIndex page);
  void OnDiscard(PageRun run);
  void DiscardEarly(PageIndex page);
  void DiscardPage(PageIndex page);
  void AnswerMapped(PageIndex page);
  bool MapHole(PageIndex page);
  void AnswerHole(PageIndex page);
  void AnswerLanded(PageIndex page);
  bool IssueReads();
  void Requeue(PageIndex page) { reads_[(reads_head_ + reads_count_++) % reads_.size()] = page; }
  bool ReadAhead();

  bool CheckResident();
  bool pushed_all() const { return push_complete_received_ && ListsTakenIn(push_complete_.lists_sent); }
  void AddWaiter(PageIndex page, bool network);
  void RecordWake(PageIndex page);
  void Move(PageIndex page, PageState to);
  void CheckMap(MapStatus status);
  bool wants_background_mapping() const;

  World world_;
  Config config_;
  PageTable table_;
  DemandReader reader_;
  RunListReceiver receiver_;
  Mapper mapper_;

  Phase phase_ = Phase::kWaiting;
  absl::Status failure_;
  bool activation_allowed_ = false;
  bool guest_may_run_ = false;
  bool push_expected_ = false;
  bool push_complete_received_ = false;
  bool fetch_rest_ = false;
  SwitchOverMessage switch_over_;
  PushCompleteMessage push_complete_;
  std::vector<PageRun> dirty_;
  std::uint64_t dirty_pages_ = 0;
  std::vector<PageRun> holes_;  // Of the last kHoles: still to be entered into the table.
  std::size_t next_hole_ = 0;

  // Before the switchover: pages whose frame has been taken away, so that pre-paging them again proves nothing.
  // Afterwards: pages that the guest discarded and to whose frame a write may be on its way; zeros once it has landed.
  PageBitmap discarded_;
  bool any_discarded_early_ = false;

  WaiterTable waiters_;
  std::vector<PageIndex> reads_;  // Ring of pages whose fault could not be answered yet: no slot, or a retry.
  std::size_t reads_head_ = 0;
  std::size_t reads_count_ = 0;
  std::vector<Unmapped> unmapped_;  // Demanded pages whose mapping the kernel asked to retry.
  std::uint32_t reads_ahead_ = 0;
  PageIndex read_ahead_at_ = 0;

  SessionStats stats_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_DESTINATION_ENGINE_H_
