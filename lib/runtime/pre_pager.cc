#include "lib/runtime/pre_pager.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "lib/prepage/holes.h"
#include "lib/util/deadline.h"
#include "lib/util/status_text.h"
#include "lib/util/stopwatch.h"

namespace farfault {
namespace {

// What a predictor can use of the history; more would only cost time at the switchover.
constexpr std::size_t kFewHottest = 1u << 10;
constexpr std::size_t kMostHottest = 1u << 16;
// Looking through so many pages for holes takes about as long as beginning to look once more.
constexpr std::uint64_t kStretchPages = 32;

}  // namespace

absl::Status PrePager::StartTracking() {
  if (tracking_.dirty && dirty_tracker_ == nullptr) {
    auto tracker = tracking_.external == nullptr ? DirtyTracker::Create(core_.memory)
                                                 : DirtyTracker::CreateExternal(*tracking_.external, core_.memory);
    if (!tracker.ok()) return tracker.status();
    if (absl::Status started = (*tracker)->Start(); !started.ok()) return started;
    dirty_tracker_ = *std::move(tracker);
  }
  if (tracking_.history && history_ == nullptr) {
    // From outside only writes are seen.
    auto history =
        tracking_.external == nullptr ? AccessHistory::Create(core_.memory) : AccessHistory::CreateBlind(core_.memory);
    if (history.ok()) {
      history_ = *std::move(history);
    } else {
      GoWithoutHistory(history.status());
    }
  }
  return absl::OkStatus();
}

void PrePager::GoWithoutHistory(const absl::Status& why) {
  tracking_.history = false;
  history_.reset();
  core_.events.Send(EventKind::kHint, fmt::format("pre-paging goes without access history: {}", StatusText(why)));
}

absl::Status PrePager::Observe(const PrePageBudget& budget) {
  const bool shared = history_ != nullptr && history_->watches_any();
  const bool useful = shared || (history_ != nullptr && dirty_tracker_ != nullptr);
  if (!useful || budget.critical_only || budget.observe == absl::ZeroDuration()) return absl::OkStatus();
  // The transport reads through the guest's own mapping: nothing may be sent while the guest is watched.
  absl::Status begun = history_->BeginRound();
  if (absl::IsFailedPrecondition(begun)) {
    GoWithoutHistory(begun);
    return absl::OkStatus();
  }
  if (!begun.ok()) return begun;
  absl::SleepFor(budget.time == absl::ZeroDuration() ? budget.observe : std::min(budget.observe, budget.time));
  return history_->EndRound();
}

void PrePager::MarkStaleOnEngineThread(std::span<const PageRun> dirty) {
  if (stale_.size() == 0) stale_ = PageBitmap(core_.layout.total_pages());
  for (const PageRun& run : dirty) {
    for (PageIndex page = run.first; page < run.end();) {
      const PageRun sent = engine_.fresh().NextSet(page, run.end());
      if (sent.count == 0) break;
      stale_.SetRun(sent);
      page = sent.end();
    }
    engine_.MarkStale(run);
  }
}

void PrePager::MarkStale(std::span<const PageRun> dirty) {
  thread_.Call([&] { MarkStaleOnEngineThread(dirty); });
}

void PrePager::MarkEverythingStale() {
  const PageRun everything{0, core_.layout.total_pages()};
  MarkStale(std::span(&everything, 1));
}

absl::Status PrePager::ReadLog(std::vector<PageRun>* dirty) {
  std::vector<PageRun> written;
  if (absl::Status read = tracking_.log(&written); !read.ok()) return read;
  for (const PageRun& run : written) {
    if (!core_.layout.Contains(run)) {
      return absl::InvalidArgumentError(
          fmt::format("the dirty log names {} pages from page {} on, but the memory has {} pages", run.count, run.first,
                      core_.layout.total_pages()));
    }
  }
  dirty->insert(dirty->end(), written.begin(), written.end());
  return absl::OkStatus();
}

absl::Status PrePager::CollectDirty(std::vector<PageRun>* dirty) {
  absl::Status collected;
  if (dirty_tracker_ != nullptr) collected = dirty_tracker_->Collect(dirty);
  if (collected.ok() && tracking_.log) collected = ReadLog(dirty);
  // What protects pages again, or counts anew, has forgotten what it did not get to report: nothing that was sent may
  // be trusted.
  if (!collected.ok()) MarkEverythingStale();
  return collected;
}

// False: the deadline has passed, or nothing has moved for as long as the peer is given.
bool PrePager::WaitWhileItMoves(absl::FunctionRef<bool()> over, Deadline deadline) {
  std::uint64_t seen = 0;
  thread_.Call([&] { seen = engine_.Stats().bytes_sent; });
  for (;;) {
    const Deadline look = std::min(deadline, Deadline::After(patience_));
    if (thread_.WaitUntil(over, look)) return true;
    std::uint64_t now = 0;
    thread_.Call([&] { now = engine_.Stats().bytes_sent; });
    if (look == deadline || now == seen) return false;
    seen = now;
  }
}

absl::StatusOr<bool> PrePager::SendRound(PrePagePlan& plan, const Stopwatch& watch, Deadline deadline) {
  std::vector<PageRun> dirty;
  const Stopwatch looking;
  // Before any byte of the round is read: whatever is written from here on shows up next time.
  if (absl::Status collected = CollectDirty(&dirty); !collected.ok()) return collected;
  const absl::Duration looked = looking.Elapsed();
  if (history_ != nullptr) history_->NoteTouched(dirty);
  const Stopwatch sending;
  bool offers = false;
  std::uint64_t sent_before = 0;
  thread_.Call([&] {
    MarkStaleOnEngineThread(dirty);
    plan.NoteDirty(dirty);
    const std::vector<PageRun> round = plan.NextRound(engine_.fresh(), absl::ToInt64Nanoseconds(watch.Elapsed()));
    sent_before = engine_.Stats().bytes_sent;
    engine_.OfferPrePage(round);
    offers = !round.empty();
  });
  if (absl::Status sent = WaitUntilSent(deadline); !sent.ok()) return sent;
  const absl::Duration sent_for = sending.Elapsed();
  std::uint64_t sent_after = 0;
  thread_.Call([&] { sent_after = engine_.Stats().bytes_sent; });
  plan.NoteCost(absl::ToInt64Nanoseconds(looked), absl::ToInt64Nanoseconds(sent_for), sent_after - sent_before);
  return offers;
}

absl::Status PrePager::WaitUntilSent(Deadline deadline) {
  const auto over = [this] { return engine_.prepaging_idle() || engine_.phase() == SourceEngine::Phase::kFailed; };
  if (!WaitWhileItMoves(over, deadline)) {
    thread_.Call([this] { engine_.DropOffers(); });
    if (!WaitWhileItMoves(over, Deadline::After(patience_))) {
      thread_.Call([this] {
        engine_.Fail(
            absl::DeadlineExceededError(fmt::format("the destination hangs: it has not taken in what was sent to it "
                                                    "within {}; the guest may go on at the source",
                                                    absl::FormatDuration(patience_))));
      });
    }
  }
  absl::Status failure;
  thread_.Call([&] { failure = engine_.failure(); });
  return failure;
}

// Holes, and what cannot be sent for want of a key since it was a hole a moment ago.
absl::StatusOr<std::vector<PageRun>> PrePager::FindUnsendable() {
  if (absl::Status caught_up = late_memory_.CatchUp(LateMemory::Guest::kRuns); !caught_up.ok()) return caught_up;
  auto holes = FindHoles(core_.memory);
  if (!holes.ok()) return holes;
  const std::vector<PageRun> unregistered = late_memory_.Missing();
  holes->insert(holes->end(), unregistered.begin(), unregistered.end());
  return holes;
}

absl::StatusOr<std::vector<PageRun>> PrePager::Prepare(const PrePageBudget& budget) {
  if (absl::Status tracking = StartTracking(); !tracking.ok()) return tracking;
  if (absl::Status observed = Observe(budget); !observed.ok()) return observed;
  return FindUnsendable();
}

absl::StatusOr<PrePageReport> PrePager::Run(const PrePageBudget& budget) {
  const Stopwatch watch;
  const Deadline deadline = budget.time == absl::ZeroDuration() ? Deadline::Never() : Deadline::After(budget.time);
  const bool tracked = dirty_tracker_ != nullptr;
  const auto holes = Prepare(budget);
  if (!holes.ok()) {
    // Nothing has been sent that could become stale, and an armed tracker hides the holes of private memory: what
    // cannot be registered now could not be at the switchover either.
    if (absl::Status stopped = tracked ? absl::OkStatus() : Stop(); !stopped.ok()) return stopped;
    return holes.status();
  }
  if (history_ != nullptr) hottest_ = history_->HottestFirst(MostHottest());

  SessionStats before;
  thread_.Call([&] { before = engine_.Stats(); });
  SessionStats now = before;
  PrePageReport report;
  PrePagePlan plan(core_.layout, budget, *holes, hottest_);
  for (;;) {
    const absl::StatusOr<bool> sent = SendRound(plan, watch, deadline);
    if (!sent.ok()) return sent.status();
    thread_.Call([&] {
      now = engine_.Stats();
      report.pages_fresh = engine_.fresh().Count();
    });
    const std::uint64_t bytes = now.bytes_sent - before.bytes_sent;
    core_.events.Progress(EventKind::kPrePaging, *sent ? bytes : std::max(bytes, budget.bytes), budget.bytes);
    if (!*sent) break;
  }
  if (history_ != nullptr) hottest_ = history_->HottestFirst(MostHottest());
  rounds_ += plan.rounds();
  report.pages_sent = now.pages_sent - before.pages_sent;
  report.bytes_sent = now.bytes_sent - before.bytes_sent;
  report.rounds = plan.rounds();
  report.elapsed = watch.Elapsed();
  return report;
}

absl::StatusOr<std::vector<PageRun>> PrePager::LastDirty() {
  std::vector<PageRun> dirty;
  absl::Status collected;
  if (tracking_.log) collected = ReadLog(&dirty);
  if (collected.ok()) collected = FindStale(&dirty);
  // As in CollectDirty. The log has forgotten, too.
  if (!collected.ok()) {
    MarkEverythingStale();
    return collected;
  }
  return dirty;
}

// In: what the log says. Out: all that is out of date at the destination.
absl::Status PrePager::FindStale(std::vector<PageRun>* found) {
  std::vector<PageRun>& dirty = *found;
  absl::Status collected;
  thread_.Call([&] {
    if (dirty_tracker_ != nullptr) collected = dirty_tracker_->CollectLast(engine_.fresh(), &dirty);
    if (!collected.ok()) return;
    MarkStaleOnEngineThread(dirty);
    // What became stale earlier and was sent again since is fresh.
    dirty.clear();
    for (PageIndex page = 0; page < stale_.size();) {
      const PageRun stale = stale_.NextSet(page, stale_.size());
      if (stale.count == 0) break;
      for (PageIndex at = stale.first; at < stale.end();) {
        const PageRun old = engine_.fresh().NextClear(at, stale.end());
        if (old.count == 0) break;
        dirty.push_back(old);
        at = old.end();
      }
      page = stale.end();
    }
  });
  return collected;
}

std::vector<PageRun> PrePager::NeverSent(std::span<const PageRun> holes) {
  if (stale_.size() == 0) return {holes.begin(), holes.end()};
  std::vector<PageRun> never_sent;
  for (const PageRun& hole : holes) {
    for (PageIndex page = hole.first; page < hole.end();) {
      const PageRun clean = stale_.NextClear(page, hole.end());
      if (clean.count == 0) break;
      never_sent.push_back(clean);
      page = clean.end();
    }
  }
  return never_sent;
}

std::vector<PageRun> PrePager::Unsent() const {
  std::vector<PageRun> unsent;
  thread_.Call([&] {
    for (const PageLayout::RegionPages& region : core_.layout.regions()) {
      const std::size_t from = unsent.size();
      for (PageIndex page = region.pages.first; page < region.pages.end();) {
        const PageRun run = engine_.fresh().NextClear(page, region.pages.end());
        if (run.count == 0) break;
        page = run.end();
        if (unsent.size() > from && run.first - unsent.back().end() < kStretchPages) {
          unsent.back().count = run.end() - unsent.back().first;
        } else {
          unsent.push_back(run);
        }
      }
    }
  });
  return unsent;
}

absl::Status PrePager::Stop() {
  history_.reset();
  if (dirty_tracker_ == nullptr) return absl::OkStatus();
  absl::Status stopped = dirty_tracker_->Stop();
  dirty_tracker_.reset();
  return stopped;
}

// A quarter of a byte per page of a large memory.
std::size_t PrePager::MostHottest() const {
  return std::clamp<std::size_t>(core_.layout.total_pages() / 64, kFewHottest, kMostHottest);
}

std::size_t PrePager::metadata_bytes() const {
  return stale_.size_bytes() + hottest_.capacity() * sizeof(PageHeat) +
         (history_ == nullptr ? 0 : history_->size_bytes());
}

}  // namespace farfault
