#ifndef FARFAULT_TEST_SUPPORT_DESTINATION_HARNESS_H_
#define FARFAULT_TEST_SUPPORT_DESTINATION_HARNESS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "lib/page/claim.h"
#include "lib/page/page_layout.h"
#include "lib/session/control_link.h"
#include "lib/session/destination_engine.h"
#include "lib/session/wire.h"
#include "test/support/fake_placement.h"
#include "test/support/manual_clock.h"
#include "test/support/scripted_channel.h"
#include "test/support/scripted_feed.h"

namespace farfault {

/// A control message as it was posted.
struct SentMessage {
  MessageType type{};
  std::vector<std::byte> payload;
};

/// A control message as it travels.
std::vector<std::byte> ControlBytes(MessageType type, std::span<const std::byte> payload = {});
/// The messages among what a control channel has seen since the last call.
std::vector<SentMessage> TakeMessages(ScriptedChannel& control);

/// A destination engine among scripted channels, with the source's memory and tables in this process.
class DestinationHarness {
 public:
  struct Setup {
    std::vector<PageLayout::RegionPages> regions = {{{0, 64}, 64}};
    std::vector<bool> direct = {};      ///< Per region; empty: all direct.
    std::vector<PageRun> offered = {};  ///< What the source has registered; empty: everything.
    std::uint32_t demand_slots = 8;
    std::size_t map_around_pages = 4;
    std::uint32_t chunk_pages = 0;
    std::size_t push_channels = 1;
    std::uint64_t staging_bytes = 4096;
    bool record_faults = false;
    bool runs_early = false;
    std::function<void()> before_guest_runs = {};
  };

  explicit DestinationHarness(Setup setup);

  // What the source does.
  void Send(MessageType type, std::span<const std::byte> payload = {});
  template <typename T>
  void SendStruct(MessageType type, const T& value) {
    Send(type, std::as_bytes(std::span(&value, 1)));
  }
  void SendRuns(MessageType type, const std::vector<PageRun>& runs);
  /// More of the source's memory is registered.
  void SendExtents(const std::vector<PageRun>& runs);
  void SendSwitchOver(bool push_enabled, std::uint64_t lists_sent = 0);
  void SendPushComplete(std::uint64_t lists_sent);
  /// WRITEs the runs' bytes and then their list, as the pusher does.
  void Push(const std::vector<PageRun>& runs, std::uint32_t flags = 0, std::size_t channel = 0, std::uint64_t salt = 0);
  void SetClaim(PageIndex page, Claim claim);
  bool wanted(PageIndex page) const;
  /// What the source's page holds is told apart by `salt`; 0 at first.
  void FillSource(PageIndex page, std::uint64_t salt);
  std::uint64_t credit(std::size_t channel) const;

  /// Polls until nothing happens; fails the test when that does not come.
  void Settle();
  /// Carries READs out until there are none, polling in between.
  void Serve();
  /// The usual way to Phase::kRunning.
  void Activate(bool push_enabled);
  std::vector<SentMessage> TakeSent();

  PageState state(PageIndex page) const { return engine->table().state(page); }
  bool guest_has(PageIndex page, std::uint64_t salt = 0) const;
  bool guest_has_zeros(PageIndex page) const;

  const PageLayout layout;
  SourcePeer source;
  FakePlacement placement;
  ScriptedFeed feed;
  ManualClock clock;
  ScriptedChannel control;
  ScriptedChannel demand;
  std::vector<std::unique_ptr<ScriptedChannel>> push;
  std::unique_ptr<ControlLink> link;
  std::unique_ptr<DestinationEngine> engine;

 private:
  Extent ExtentOf(PageRun run);
  std::span<std::byte> SourcePage(PageIndex page);

  std::vector<std::uint64_t> tables_;
  std::vector<std::vector<std::byte>> memory_;
  std::vector<std::vector<std::byte>> rings_;
  std::vector<StagingCursor> cursors_;
  std::vector<std::uint64_t> lists_sent_;
  std::vector<std::byte> control_buffers_;
  std::vector<std::byte> list_buffers_;
  std::vector<std::byte> scratch_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_DESTINATION_HARNESS_H_
