#ifndef FARFAULT_TEST_SUPPORT_PUSH_HARNESS_H_
#define FARFAULT_TEST_SUPPORT_PUSH_HARNESS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "farfault/options.h"
#include "farfault/predictor.h"
#include "lib/page/claim.h"
#include "lib/page/page_layout.h"
#include "lib/push/pusher.h"
#include "lib/session/peer.h"
#include "test/support/scripted_channel.h"

namespace farfault {

/// Says what a test tells it to say, and remembers what it is told.
class ScriptedPredictor final : public Predictor {
 public:
  void OnLayout(std::span<const PageRun> regions) override { layout.assign(regions.begin(), regions.end()); }
  void OnHistory(std::span<const PageHeat> hottest_first) override {
    history.assign(hottest_first.begin(), hottest_first.end());
  }
  void OnFault(PageIndex page, absl::Time) override { faults.push_back(page); }
  std::size_t Next(std::span<PageRun> out) override {
    ++asked;
    const std::size_t count = std::min(out.size(), answer.size());
    std::copy_n(answer.begin(), count, out.begin());
    if (!repeat) answer.clear();
    return overstate ? out.size() + 1 : count;
  }

  std::vector<PageRun> answer;
  bool repeat = false;
  bool overstate = false;  ///< Claims to have written more than there was room for.
  std::vector<PageRun> layout;
  std::vector<PageHeat> history;
  std::vector<PageIndex> faults;
  int asked = 0;
};

/// A run list as it was posted.
struct PostedList {
  RunListHeader header;
  std::vector<PageRun> runs;
};

/// The source's side of a push, with scripted channels and with the destination's memory in this process.
class PushHarness {
 public:
  struct Setup {
    std::vector<PageLayout::RegionPages> regions = {{{0, 64}, 64}};
    std::vector<bool> direct = {};  ///< Per region; empty: all direct.
    /// What is registered at the source, with a key each; empty: every region. The same for the frames of direct
    /// regions.
    std::vector<PageRun> extents = {};
    std::vector<PageRun> frames = {};
    std::size_t channels = 1;
    std::uint64_t staging_bytes = 1024;
    std::uint32_t send_slots = 256;
  };

  explicit PushHarness(Setup setup);

  std::unique_ptr<Pusher> MakePusher(const PushOptions& options);
  Pusher::Resources resources();
  SourceTables tables() { return {std::as_writable_bytes(std::span(table_words_)), layout.total_pages()}; }

  // What the destination does to the source's tables.
  void Want(PageIndex page) { table_bytes()[table_layout().want_offset() + page] = std::byte{1}; }
  Claim claim(PageIndex page) { return static_cast<Claim>(table_bytes()[table_layout().claim_offset() + page]); }
  void SetCredit(std::size_t channel, std::uint64_t value);
  void SetHint(std::uint64_t slot, std::uint64_t entry);

  /// The run lists among the requests that channel `index` has seen since the last call.
  std::vector<PostedList> TakeLists(std::size_t index = 0);
  /// What stands in the destination's frame of a direct page.
  std::span<const std::byte> frame(PageIndex page) const;

  const PageLayout layout;
  std::vector<std::unique_ptr<ScriptedChannel>> channels;
  DestinationPeer destination;
  ExtentTable local;  ///< The source's pages with its own key.
  ScriptedPredictor predictor;
  std::vector<std::vector<std::byte>> memory;   ///< The source's pages, per region.
  std::vector<std::vector<std::byte>> staging;  ///< The destination's rings, per channel.

 private:
  SourceTableLayout table_layout() const { return {layout.total_pages()}; }
  std::span<std::byte> table_bytes() { return std::as_writable_bytes(std::span(table_words_)); }

  void AddExtents(ExtentTable& table, std::span<const PageRun> runs, std::uint32_t first_key,
                  std::vector<std::vector<std::byte>>& bytes, const std::vector<bool>& direct);

  std::vector<std::vector<std::byte>> frames_;
  std::vector<std::uint64_t> table_words_;
  std::vector<std::byte> lists_;
};

PostedList DecodeRunList(std::span<const std::byte> message);

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_PUSH_HARNESS_H_
