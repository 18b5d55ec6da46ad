#include "lib/session/fault_answerer.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "absl/strings/str_cat.h"
#include "lib/util/mutant.h"

namespace farfault {

FaultAnswerer::FaultAnswerer(DestinationPages& pages, DestinationProgress& progress, DemandArrivals& demand,
                             FaultFeed& feed, Config config)
    : pages_(pages),
      progress_(progress),
      demand_(demand),
      feed_(feed),
      runs_early_(config.runs_early),
      pending_(kPending) {
  if (!config.record) return;
  const std::uint64_t total = pages.table().size();
  order_.reserve(total);
  recorded_ = PageBitmap(total);
  const std::uint64_t bytes = order_.capacity() * sizeof(PageIndex) + recorded_.size_bytes();
  pages.stats().metadata_bytes_per_page +=
      static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(total, 1));
}

bool FaultAnswerer::Take() {
  if (!takes_faults()) return false;
  std::array<FeedEvent, kEventsPerRound> events;
  const FeedResult result = feed_.Drain(events);
  for (const FeedEvent& event : std::span(events).first(result.events)) {
    if (event.kind == FeedEventKind::kFault) {
      OnFault(event.run.first);
    } else {
      OnDiscard(event.run);
    }
  }
  if (result.status == FeedStatus::kGuestGone) pages_.CheckMap(MapStatus::kGuestGone);
  if (result.status == FeedStatus::kFailed) {
    progress_.Fail(
        absl::InternalError(absl::StrCat("userfaultfd reports no faults any more: ", feed_.status().message())));
  }
  return result.events > 0;
}

void FaultAnswerer::OnFault(PageIndex page) {
  SessionStats& stats = pages_.stats();
  if (recorded_.size() > 0 && !recorded_.Test(page) && pages_.state(page) != PageState::kMapped) {
    recorded_.Set(page);
    order_.push_back(page);
  }
  if (!progress_.guest_may_run()) {
    // Parked until the switchover, however long that takes: no stall that says anything. A thread that gets signals
    // meanwhile faults again after each.
    if (IsPending(page)) return;
    ++stats.faults_network;
    return Requeue(page);
  }
  switch (demand_.EnterIfHole(page)) {
    case PageState::kMapped:
      return AnswerMapped(page);
    case PageState::kHole:
      ++stats.faults_local;
      pages_.AddWaiter(page, false);
      return AnswerHole(page);
    case PageState::kLanded:
      ++stats.faults_local;
      pages_.AddWaiter(page, false);
      return AnswerLanded(page);
    default:
      break;
  }
  ++stats.faults_network;
  pages_.AddWaiter(page, true);
  if (pages_.state(page) != PageState::kAbsent) return;
  // Faults are answered in the order in which they came.
  if (!idle() || !demand_.Ask(page)) Requeue(page);
}

bool FaultAnswerer::IsPending(PageIndex page) const {
  for (std::size_t i = 0; i < count_; ++i) {
    if (pending_[(head_ + i) % pending_.size()] == page) return true;
  }
  return false;
}

void FaultAnswerer::OnDiscard(PageRun run) {
  if (MutantIs(Mutant::kIgnoreDiscards)) return;
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (progress_.guest_may_run()) {
      pages_.Discard(page);
    } else {
      pages_.DiscardEarly(page);
    }
  }
}

bool FaultAnswerer::AnswerPending() {
  bool progress = false;
  for (std::size_t left = count_; left > 0 && !progress_.failed(); --left) {
    const PageIndex page = pending_[head_];
    if (demand_.EnterIfHole(page) == PageState::kAbsent && !demand_.Ask(page)) break;
    head_ = (head_ + 1) % pending_.size();
    --count_;
    progress = true;
    Answer(page);
  }
  return progress;
}

void FaultAnswerer::Answer(PageIndex page) {
  switch (pages_.state(page)) {
    case PageState::kMapped:
      return AnswerMapped(page);
    case PageState::kHole:
      return AnswerHole(page);
    case PageState::kLanded:
      return AnswerLanded(page);
    default:
      return;  // On its way.
  }
}

void FaultAnswerer::AnswerArrived(PageIndex page) {
  if (pages_.state(page) == PageState::kHole) {
    AnswerHole(page);
  } else {
    AnswerLanded(page);
  }
}

void FaultAnswerer::AnswerMapped(PageIndex page) {
  const MapResult result = pages_.placement().MapAgain(page);
  pages_.CheckMap(result.status);
  if (result.status == MapStatus::kRetry) return Requeue(page);
  pages_.RecordWake(page);
}

void FaultAnswerer::AnswerHole(PageIndex page) {
  if (!pages_.MapHole(page)) Requeue(page);
}

void FaultAnswerer::AnswerLanded(PageIndex page) {
  const MapStatus status = pages_.mapper().MapAround(page);
  pages_.CheckMap(status);
  // The kernel may have asked to retry behind this page.
  if (pages_.state(page) == PageState::kMapped) {
    pages_.RecordWake(page);
  } else if (status == MapStatus::kRetry) {
    Requeue(page);
  }
}

}  // namespace farfault
