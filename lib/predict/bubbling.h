#ifndef FARFAULT_LIB_PREDICT_BUBBLING_H_
#define FARFAULT_LIB_PREDICT_BUBBLING_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "farfault/predictor.h"

namespace farfault {

/// Pages near a fault are likely to be touched next (Hines and Gopalan, "Post-Copy Based Live Virtual Machine Migration
/// Using Adaptive Pre-Paging and Dynamic Self-Ballooning", VEE 2009). Every fault becomes a pivot around which a bubble
/// grows outwards; the bubbles of the most recent pivots grow in turns, the newest first. Bubbles that meet become one,
/// and none leaves its region. With access history, what was hot is proposed first, and the hottest pages are the first
/// pivots.
///
/// The state is bounded, and nothing allocates after OnLayout. A fault costs O(pivots + regions), a proposed run
/// O(pivots).
class BubblingPredictor final : public Predictor {
 public:
  enum class Direction : std::uint8_t { kBoth, kForward };

  struct Options {
    /// Bubbles that grow at once, 1 to kMaxPivots. Change this to about the number of guest threads with a locality of
    /// their own.
    std::size_t pivots = 8;
    /// kForward when the guest's accesses ascend.
    Direction direction = Direction::kBoth;
  };

  static constexpr std::size_t kMaxPivots = 64;
  /// A bubble grows by this much at first, twice as much each time, up to the maximum: near neighbours come soon, and
  /// runs become long.
  static constexpr std::uint64_t kFirstChunkPages = 16;
  static constexpr std::uint64_t kMaxChunkPages = 64;
  /// Runs of hot pages that are remembered.
  static constexpr std::size_t kMaxHotRuns = 4096;

  explicit BubblingPredictor(const Options& options);

  void OnLayout(std::span<const PageRun> regions) override;
  void OnHistory(std::span<const PageHeat> hottest_first) override;
  void OnFault(PageIndex page, absl::Time when) override;
  std::size_t Next(std::span<PageRun> out) override;

 private:
  /// [low, high) has been proposed, or comes by itself.
  struct Bubble {
    PageIndex low = 0;
    PageIndex high = 0;
    PageRun region;
    unsigned steps = 0;  // How often it has grown.

    bool Touches(const Bubble& other) const { return region == other.region && low <= other.high && other.low <= high; }
  };

  /// All that proposing changes.
  struct Progress {
    std::vector<Bubble> bubbles;  // Most recent pivot first.
    std::size_t turn = 0;         // The bubble that grows next; behind the last one come the hot runs.
    std::size_t hot_run = 0;      // In hot_.
    std::uint64_t hot_pages = 0;  // Of that run, proposed already.
  };

  const PageRun* RegionOf(PageIndex page) const;
  void AddPivot(PageIndex page, const PageRun& region);
  void RememberHot(std::span<const PageHeat> hottest_first);
  PageRun Propose();
  PageRun TakeHot();
  PageRun Grow();
  std::size_t Absorb(std::size_t index);
  PageRun GrowForward(Bubble& bubble, std::uint64_t pages) const;
  PageRun GrowBackward(Bubble& bubble, std::uint64_t pages) const;

  Options options_;
  std::vector<PageRun> regions_;
  std::vector<PageRun> hot_;
  bool faulted_ = false;
  Progress now_;
  // As it was before the last Next. A fault makes the pusher drop what it has not used of that: growing resumes here.
  Progress before_;
  bool may_resume_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PREDICT_BUBBLING_H_
