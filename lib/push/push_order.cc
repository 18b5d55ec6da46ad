#include "lib/push/push_order.h"

#include <algorithm>

namespace farfault {
namespace {

// How often a predictor may repeat what is settled before the sweep takes over for this call.
constexpr int kPatience = 16;

}  // namespace

PushOrder::PushOrder(const PageLayout& layout, const PageBitmap& settled, Predictor& predictor)
    : layout_(layout), settled_(settled), predictor_(predictor) {}

void PushOrder::OnFault(PageIndex page, absl::Time when) {
  predictor_.OnFault(page, when);
  candidate_count_ = next_candidate_ = 0;
}

PageRun PushOrder::FromCandidates(std::uint64_t max_pages) {
  for (; next_candidate_ < candidate_count_; ++next_candidate_) {
    PageRun& candidate = candidates_[next_candidate_];
    const PageRun left = settled_.NextClear(candidate.first, candidate.end(), max_pages);
    if (left.count == 0) continue;
    // What lies before it is settled: a candidate as large as the memory is not searched from its start each time.
    candidate = {left.first, candidate.end() - left.first};
    return left;
  }
  return {};
}

bool PushOrder::AskPredictor() {
  candidate_count_ = std::min(predictor_.Next(candidates_), candidates_.size());
  next_candidate_ = 0;
  const bool has_opinion = candidate_count_ > 0;
  const auto last =
      std::remove_if(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(candidate_count_),
                     [this](const PageRun& run) { return run.count == 0 || !layout_.Contains(run); });
  const auto kept = static_cast<std::size_t>(last - candidates_.begin());
  out_of_range_ += candidate_count_ - kept;
  candidate_count_ = kept;
  return has_opinion;
}

PageRun PushOrder::FromSweep(std::uint64_t max_pages) {
  const std::uint64_t total = layout_.total_pages();
  PageRun run = settled_.NextClear(sweep_, total, max_pages);
  if (run.count == 0) run = settled_.NextClear(0, sweep_, max_pages);
  if (run.count > 0) sweep_ = run.first;
  return run;
}

PageRun PushOrder::Next(std::uint64_t max_bytes) {
  const std::uint64_t max_pages = layout_.MostPages(max_bytes);
  PageRun run = FromCandidates(max_pages);
  for (int asked = 0; run.count == 0 && asked < kPatience && AskPredictor(); ++asked) run = FromCandidates(max_pages);
  if (run.count == 0) run = FromSweep(max_pages);
  if (run.count == 0) return {};
  run = layout_.ClipToRegion(run);
  const std::uint64_t most = std::max<std::uint64_t>(1, max_bytes / layout_.page_size(run.first));
  return {run.first, std::min(run.count, most)};
}

}  // namespace farfault
