#include "lib/prepage/prepage_plan.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"

namespace farfault {
namespace {

// Per run of a round: bounds the search for its end.
constexpr std::uint64_t kMaxRunPages = 4096;
constexpr double kSendingPerLook = 20;

}  // namespace

PrePagePlan::PrePagePlan(const PageLayout& layout, const PrePageBudget& budget, std::span<const PageRun> holes,
                         std::span<const PageHeat> hottest_first)
    : layout_(layout),
      byte_limit_(budget.bytes),
      time_limit_(absl::ToInt64Nanoseconds(budget.time)),
      dirty_now_(layout.total_pages()),
      dirty_before_(layout.total_pages()) {
  PageBitmap taken(layout.total_pages());
  for (const PageRun& hole : holes) {
    if (layout.Contains(hole)) taken.SetRun(hole);
  }
  for (const PageRun& run : budget.critical) AddRun(run, taken);
  critical_runs_ = order_.size();
  if (budget.critical_only) return;
  AddHottest(hottest_first, taken);
  AddRun({0, layout.total_pages()}, taken);
}

// Appends what is not taken of `run`, region by region.
void PrePagePlan::AddRun(PageRun run, PageBitmap& taken) {
  const PageIndex end =
      run.first + std::min(run.count, layout_.total_pages() - std::min(run.first, layout_.total_pages()));
  for (PageIndex page = run.first; page < end;) {
    const PageRun clear = taken.NextClear(page, end);
    if (clear.count == 0) return;
    const PageRun part = layout_.ClipToRegion(clear);
    taken.SetRun(part);
    order_.push_back(part);
    page = part.end();
  }
}

void PrePagePlan::AddHottest(std::span<const PageHeat> hottest_first, PageBitmap& taken) {
  const std::size_t most =
      std::clamp<std::size_t>(layout_.total_pages() / kPagesPerRankedRun, kMinRankedRuns, kMaxRankedRuns);
  for (const PageHeat& heat : hottest_first) {
    if (heat.page >= layout_.total_pages() || taken.Test(heat.page)) continue;
    const bool extends = order_.size() > critical_runs_ && order_.back().end() == heat.page &&
                         layout_.RegionOf(heat.page) == layout_.RegionOf(order_.back().first);
    if (!extends && order_.size() - critical_runs_ == most) return;
    if (extends) {
      ++order_.back().count;
    } else {
      order_.push_back({heat.page, 1});
    }
    taken.Set(heat.page);
  }
}

void PrePagePlan::NoteDirty(std::span<const PageRun> dirty) {
  std::swap(dirty_before_, dirty_now_);
  dirty_now_.ClearAll();
  for (const PageRun& run : dirty) {
    if (layout_.Contains(run)) dirty_now_.SetRun(run);
  }
}

void PrePagePlan::NoteCost(Nanos looking, Nanos sending, std::uint64_t bytes_sent) {
  if (bytes_sent < kRoundBytes) return;  // The rate is that of a few pages, or of none.
  const double rate = static_cast<double>(bytes_sent) / static_cast<double>(std::max<Nanos>(1, sending));
  const double wanted = kSendingPerLook * static_cast<double>(looking) * rate;
  const double bytes = std::clamp<double>(wanted, kRoundBytes, kMostRoundBytes);
  round_bytes_ = static_cast<std::uint64_t>(bytes);
}

std::uint64_t PrePagePlan::RoundBudget() const {
  if (byte_limit_ == 0) return round_bytes_;
  return std::min(round_bytes_, byte_limit_ - bytes_offered_);
}

// The first stretch inside `within` that is not fresh and, where the pass cares, not written all the time.
PageRun PrePagePlan::NextToSend(const PageBitmap& fresh, PageRun within) const {
  const bool takes_all = pass_ == Pass::kLast || (pass_ == Pass::kFirst && next_run_ < critical_runs_);
  const auto rewritten = [this](PageIndex page) { return dirty_now_.Test(page) && dirty_before_.Test(page); };
  for (PageIndex page = within.first;;) {
    const PageRun stale = fresh.NextClear(page, within.end(), kMaxRunPages);
    if (stale.count == 0 || takes_all) return stale;
    PageIndex first = stale.first;
    while (first < stale.end() && rewritten(first)) ++first;
    PageIndex end = first;
    while (end < stale.end() && !rewritten(end)) ++end;
    if (end > first) return {first, end - first};
    page = stale.end();
  }
}

std::vector<PageRun> PrePagePlan::FillRound(const PageBitmap& fresh, std::uint64_t budget) {
  std::vector<PageRun> round;
  while (!pass_over()) {
    const PageRun& run = order_[next_run_];
    const PageIndex from = std::max(run.first, next_page_);
    const PageRun left = from < run.end() ? NextToSend(fresh, {from, run.end() - from}) : PageRun{};
    if (left.count == 0) {
      ++next_run_;
      next_page_ = 0;
      continue;
    }
    const std::uint64_t page_size = layout_.page_size(left.first);
    const PageRun send{left.first, std::min(left.count, budget / page_size)};
    if (send.count == 0) break;
    round.push_back(send);
    next_page_ = send.end();
    budget -= send.count * page_size;
    pass_bytes_ += send.count * page_size;
    bytes_offered_ += send.count * page_size;
  }
  return round;
}

bool PrePagePlan::AllFresh(const PageBitmap& fresh) const {
  return std::all_of(order_.begin(), order_.end(),
                     [&fresh](const PageRun& run) { return fresh.NextClear(run.first, run.end(), 1).count == 0; });
}

// Decides what comes after a pass.
void PrePagePlan::BeginPass(const PageBitmap& fresh) {
  const std::uint64_t fresh_now = fresh.Count();
  if (AllFresh(fresh)) {
    state_ = State::kNothingLeft;
  } else if (pass_ == Pass::kLast || (pass_bytes_ > 0 && fresh_now <= fresh_before_pass_)) {
    state_ = State::kNoProgress;
  }
  // A pass that found nothing to send has left only pages that are written all the time.
  pass_ = pass_bytes_ == 0 ? Pass::kLast : Pass::kCalm;
  next_run_ = 0;
  next_page_ = 0;
  pass_bytes_ = 0;
  fresh_before_pass_ = fresh_now;
}

std::vector<PageRun> PrePagePlan::NextRound(const PageBitmap& fresh, Nanos elapsed) {
  if (rounds_ == 0) fresh_before_pass_ = fresh.Count();
  for (;;) {
    if (state_ == State::kGoing && time_limit_ > 0 && elapsed >= time_limit_) state_ = State::kTimeSpent;
    if (state_ != State::kGoing) return {};
    std::vector<PageRun> round = FillRound(fresh, RoundBudget());
    if (!round.empty()) {
      ++rounds_;
      return round;
    }
    if (pass_over()) {
      BeginPass(fresh);
    } else {
      state_ = State::kBytesSpent;
    }
  }
}

std::string_view PrePageStateName(PrePagePlan::State state) {
  switch (state) {
    case PrePagePlan::State::kGoing:
      return "going";
    case PrePagePlan::State::kBytesSpent:
      return "bytes spent";
    case PrePagePlan::State::kTimeSpent:
      return "time spent";
    case PrePagePlan::State::kNothingLeft:
      return "nothing left";
    case PrePagePlan::State::kNoProgress:
      return "no progress";
  }
  return "";
}

}  // namespace farfault
