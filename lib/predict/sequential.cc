#include "lib/predict/sequential.h"

#include <algorithm>

namespace farfault {

void SequentialPredictor::OnLayout(std::span<const PageRun> regions) {
  regions_.assign(regions.begin(), regions.end());
}

void SequentialPredictor::OnFault(PageIndex page, absl::Time /*when*/) {
  const auto region = std::find_if(regions_.begin(), regions_.end(),
                                   [page](const PageRun& run) { return page >= run.first && page < run.end(); });
  if (region == regions_.end()) return;
  region_ = static_cast<std::size_t>(region - regions_.begin());
  at_ = page + 1;
  left_ = 0;
  for (const PageRun& run : regions_) left_ += run.count;
  --left_;  // The page that faulted comes by itself.
}

std::size_t SequentialPredictor::Next(std::span<PageRun> out) {
  std::size_t filled = 0;
  while (filled < out.size() && left_ > 0) {
    if (at_ >= regions_[region_].end()) {
      region_ = (region_ + 1) % regions_.size();
      at_ = regions_[region_].first;
      continue;
    }
    const std::uint64_t count = std::min({kChunkPages, left_, regions_[region_].end() - at_});
    out[filled++] = {at_, count};
    at_ += count;
    left_ -= count;
  }
  return filled;
}

}  // namespace farfault
