#ifndef FARFAULT_LIB_PREPAGE_PREPAGE_PLAN_H_
#define FARFAULT_LIB_PREPAGE_PREPAGE_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "farfault/options.h"
#include "farfault/page.h"
#include "lib/page/page_bitmap.h"
#include "lib/page/page_layout.h"
#include "lib/util/clock.h"

namespace farfault {

/// What to pre-page next. Pure policy: no clock, no system calls. One thread.
///
/// Order: the caller's critical ranges, then by history, hottest first, then the rest in ascending order. That order
/// is passed through again and again, each time for the pages that are not fresh at the destination. From the second
/// look on, a page that was written in each of the last two rounds is passed over: it would be stale again at the
/// switchover, and then its bytes are wasted, while a page that stays clean saves a fault. When nothing else is left
/// such pages get one last pass, for those that have calmed down meanwhile.
///
/// The caller's loop, once per round:
///   Collect the dirty pages (which protects them again)    -- before any byte is read, so that a write during the
///   MarkStale and NoteDirty for each of them                  sending shows up in the next Collect
///   NextRound, OfferPrePage, wait until it has been sent
class PrePagePlan {
 public:
  enum class State : std::uint8_t {
    kGoing,
    kBytesSpent,
    kTimeSpent,
    kNothingLeft,  ///< Everything that may be sent is fresh.
    kNoProgress,   ///< The guest writes as fast as pages are sent.
  };

  /// Bytes per round, so that the dirty set is looked at often enough.
  static constexpr std::uint64_t kRoundBytes = 64u << 20;
  /// And at most, where looking at the dirty set takes long.
  static constexpr std::uint64_t kMostRoundBytes = 16 * kRoundBytes;
  /// History is followed for this many runs, or one for every kPagesPerRankedRun pages, whichever is less, so that the
  /// plan stays small; the rest is sent in ascending order.
  static constexpr std::size_t kMaxRankedRuns = 1u << 16;
  static constexpr std::uint64_t kPagesPerRankedRun = 64;
  static constexpr std::size_t kMinRankedRuns = 1024;

  /// `layout` outlives the plan. `holes` are never sent. `hottest_first` may be empty. Runs and pages outside the
  /// layout are ignored.
  PrePagePlan(const PageLayout& layout, const PrePageBudget& budget, std::span<const PageRun> holes,
              std::span<const PageHeat> hottest_first);

  /// What a round of kRoundBytes and more has cost: nothing is sent while the caller looks for what was written, which
  /// takes longer the larger the memory is. From here on rounds are so long that looking takes a twentieth of the time,
  /// as far as kMostRoundBytes allow.
  void NoteCost(Nanos looking, Nanos sending, std::uint64_t bytes_sent);

  /// What changed since the last round.
  void NoteDirty(std::span<const PageRun> dirty);

  /// The runs to send now, best first, each inside one region; no page twice. `fresh`: pages at the destination that
  /// are not stale. `elapsed`: since the pre-paging began. Empty: see `state()`.
  std::vector<PageRun> NextRound(const PageBitmap& fresh, Nanos elapsed);

  State state() const { return state_; }
  std::uint64_t rounds() const { return rounds_; }
  /// Of all that NextRound returned.
  std::uint64_t bytes_offered() const { return bytes_offered_; }
  std::size_t size_bytes() const {
    return order_.capacity() * sizeof(PageRun) + dirty_now_.size_bytes() + dirty_before_.size_bytes();
  }

 private:
  /// Which of the pages that are not fresh a pass takes.
  enum class Pass : std::uint8_t { kFirst, kCalm, kLast };

  void AddRun(PageRun run, PageBitmap& taken);
  void AddHottest(std::span<const PageHeat> hottest_first, PageBitmap& taken);
  std::uint64_t RoundBudget() const;
  std::vector<PageRun> FillRound(const PageBitmap& fresh, std::uint64_t budget);
  PageRun NextToSend(const PageBitmap& fresh, PageRun within) const;
  bool pass_over() const { return next_run_ == order_.size(); }
  void BeginPass(const PageBitmap& fresh);
  bool AllFresh(const PageBitmap& fresh) const;

  const PageLayout& layout_;
  std::uint64_t byte_limit_;  // 0: none.
  Nanos time_limit_;          // 0: none.
  std::uint64_t round_bytes_ = kRoundBytes;
  std::vector<PageRun> order_;     // Disjoint.
  std::size_t critical_runs_ = 0;  // They come first in order_.
  PageBitmap dirty_now_;           // In the last NoteDirty.
  PageBitmap dirty_before_;        // In the one before.
  State state_ = State::kGoing;
  Pass pass_ = Pass::kFirst;
  std::size_t next_run_ = 0;  // In order_.
  PageIndex next_page_ = 0;   // Where to go on in that run, unless it is before it.
  std::uint64_t pass_bytes_ = 0;
  std::uint64_t fresh_before_pass_ = 0;
  std::uint64_t rounds_ = 0;
  std::uint64_t bytes_offered_ = 0;
};

std::string_view PrePageStateName(PrePagePlan::State state);

}  // namespace farfault

#endif  // FARFAULT_LIB_PREPAGE_PREPAGE_PLAN_H_
