#include "lib/predict/bubbling.h"

#include <algorithm>
#include <utility>

namespace farfault {

BubblingPredictor::BubblingPredictor(const Options& options) : options_(options) {
  options_.pivots = std::clamp<std::size_t>(options_.pivots, 1, kMaxPivots);
}

void BubblingPredictor::OnLayout(std::span<const PageRun> regions) {
  regions_.assign(regions.begin(), regions.end());
  hot_.reserve(kMaxHotRuns);
  now_.bubbles.reserve(options_.pivots);
  before_.bubbles.reserve(options_.pivots);
}

const PageRun* BubblingPredictor::RegionOf(PageIndex page) const {
  const auto region = std::find_if(regions_.begin(), regions_.end(),
                                   [page](const PageRun& run) { return page >= run.first && page < run.end(); });
  return region == regions_.end() ? nullptr : &*region;
}

void BubblingPredictor::OnHistory(std::span<const PageHeat> hottest_first) {
  RememberHot(hottest_first);
  // A hot run that is longer than a chunk needs no second pivot: its bubble gets there.
  std::size_t pivots = 0;
  for (auto run = hot_.begin(); run != hot_.end() && pivots < options_.pivots; ++run) {
    const bool near = std::any_of(now_.bubbles.begin(), now_.bubbles.end(), [run](const Bubble& bubble) {
      return run->first < bubble.high + kMaxChunkPages && bubble.low < run->end() + kMaxChunkPages;
    });
    if (near) continue;
    now_.bubbles.push_back(Bubble{run->first, run->end(), *RegionOf(run->first)});
    ++pivots;
  }
}

void BubblingPredictor::RememberHot(std::span<const PageHeat> hottest_first) {
  for (const PageHeat& heat : hottest_first) {
    const PageRun* region = RegionOf(heat.page);
    if (region == nullptr) continue;
    if (!hot_.empty() && hot_.back().end() == heat.page && heat.page != region->first) {
      ++hot_.back().count;
    } else if (hot_.size() < kMaxHotRuns) {
      hot_.push_back({heat.page, 1});
    } else {
      return;
    }
  }
}

void BubblingPredictor::OnFault(PageIndex page, absl::Time /*when*/) {
  const PageRun* region = RegionOf(page);
  if (region == nullptr) return;
  if (std::exchange(may_resume_, false)) now_ = before_;
  faulted_ = true;
  AddPivot(page, *region);
  now_.turn = 0;
}

void BubblingPredictor::AddPivot(PageIndex page, const PageRun& region) {
  std::vector<Bubble>& bubbles = now_.bubbles;
  const auto known = std::find_if(bubbles.begin(), bubbles.end(),
                                  [page](const Bubble& bubble) { return page >= bubble.low && page < bubble.high; });
  if (known != bubbles.end()) {
    std::rotate(bubbles.begin(), known, known + 1);
    return;
  }
  if (bubbles.size() == options_.pivots) bubbles.pop_back();
  bubbles.insert(bubbles.begin(), Bubble{page, page + 1, region});
}

std::size_t BubblingPredictor::Next(std::span<PageRun> out) {
  before_ = now_;
  may_resume_ = true;
  std::size_t filled = 0;
  while (filled < out.size()) {
    const PageRun run = Propose();
    if (run.count == 0) break;
    out[filled++] = run;
  }
  return filled;
}

PageRun BubblingPredictor::Propose() {
  if (!faulted_) {
    const PageRun hot = TakeHot();
    if (hot.count > 0) return hot;
  }
  for (int laps = 0; laps < 2;) {
    if (now_.turn >= now_.bubbles.size()) {
      now_.turn = 0;
      ++laps;
      const PageRun hot = TakeHot();
      if (hot.count > 0) return hot;
      continue;
    }
    const PageRun run = Grow();
    if (run.count > 0) return run;
  }
  return {};
}

PageRun BubblingPredictor::TakeHot() {
  if (now_.hot_run == hot_.size()) return {};
  const PageRun& run = hot_[now_.hot_run];
  const PageRun chunk{run.first + now_.hot_pages, std::min(kMaxChunkPages, run.count - now_.hot_pages)};
  now_.hot_pages += chunk.count;
  if (now_.hot_pages == run.count) {
    ++now_.hot_run;
    now_.hot_pages = 0;
  }
  return chunk;
}

// Grows the bubble whose turn it is. Empty, and the bubble gone, when it fills its region.
PageRun BubblingPredictor::Grow() {
  const std::size_t index = Absorb(now_.turn);
  Bubble& bubble = now_.bubbles[index];
  const bool both = options_.direction == Direction::kBoth;
  const unsigned doublings = std::min(both ? bubble.steps / 2 : bubble.steps, 8u);
  const std::uint64_t chunk = std::min(kFirstChunkPages << doublings, kMaxChunkPages);
  const bool backward = both && bubble.steps % 2 == 1;
  ++bubble.steps;
  PageRun run = backward ? GrowBackward(bubble, chunk) : GrowForward(bubble, chunk);
  if (run.count == 0 && both) run = backward ? GrowForward(bubble, chunk) : GrowBackward(bubble, chunk);
  if (run.count == 0) {
    now_.bubbles.erase(now_.bubbles.begin() + static_cast<std::ptrdiff_t>(index));
    now_.turn = index;
  } else {
    now_.turn = index + 1;
  }
  return run;
}

// Unites the bubble with those that it has met, in the place of the most recent of them, which it returns.
std::size_t BubblingPredictor::Absorb(std::size_t index) {
  std::vector<Bubble>& bubbles = now_.bubbles;
  for (std::size_t other = 0; other < bubbles.size();) {
    if (other == index || !bubbles[index].Touches(bubbles[other])) {
      ++other;
      continue;
    }
    const std::size_t kept = std::min(index, other);
    const std::size_t dropped = std::max(index, other);
    bubbles[kept].low = std::min(bubbles[kept].low, bubbles[dropped].low);
    bubbles[kept].high = std::max(bubbles[kept].high, bubbles[dropped].high);
    bubbles.erase(bubbles.begin() + static_cast<std::ptrdiff_t>(dropped));
    index = kept;
    other = 0;
  }
  return index;
}

PageRun BubblingPredictor::GrowForward(Bubble& bubble, std::uint64_t pages) const {
  PageIndex limit = bubble.region.end();
  for (const Bubble& other : now_.bubbles) {
    if (other.low >= bubble.high) limit = std::min(limit, other.low);
  }
  const PageRun run{bubble.high, std::min(pages, limit - bubble.high)};
  bubble.high = run.end();
  return run;
}

PageRun BubblingPredictor::GrowBackward(Bubble& bubble, std::uint64_t pages) const {
  PageIndex limit = bubble.region.first;
  for (const Bubble& other : now_.bubbles) {
    if (other.high <= bubble.low) limit = std::max(limit, other.high);
  }
  const std::uint64_t count = std::min(pages, bubble.low - limit);
  bubble.low -= count;
  return {bubble.low, count};
}

}  // namespace farfault
