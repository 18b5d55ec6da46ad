#include "lib/session/push_arrivals.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lib/util/mutant.h"

namespace farfault {
namespace {

// Arrivals are taken in between faults, a bounded number of pages at a time.
constexpr std::uint64_t kPagesPerRound = 1024;
constexpr std::uint64_t kStagedPagesPerRound = 32;

}  // namespace

PushArrivals::PushArrivals(DestinationPages& pages, DestinationProgress& progress, FaultAnswerer& answerer,
                           const SourcePeer& source, RunListReceiver::Resources push)
    : pages_(pages),
      progress_(progress),
      answerer_(answerer),
      channels_(push.channels.size()),
      receiver_(pages.layout(), source, pages.placement(), std::move(push)) {
  if (!receiver_.Start()) progress_.LoseChannel(receiver_.failure());
}

bool PushArrivals::HasTakenIn(const std::array<std::uint64_t, kMaxPushChannels>& lists_sent) const {
  for (std::size_t i = 0; i < channels_; ++i) {
    if (receiver_.lists_done(i) < lists_sent[i]) return false;
  }
  return true;
}

bool PushArrivals::Take() {
  bool progress = false;
  // Each page may have to be mapped by way of the ring of pending faults, once the guest may run. Before, nothing is
  // mapped, and a ring that is full stays so.
  const bool maps = progress_.guest_may_run();
  std::uint64_t budget = maps ? std::min<std::uint64_t>(kPagesPerRound, answerer_.room()) : kPagesPerRound;
  while (budget > 0 && !progress_.failed() && receiver_.Next()) {
    const RunListReceiver::Arrival& arrival = receiver_.current();
    if (arrival.prepaged == progress_.guest_may_run()) {
      progress_.Fail(absl::DataLossError(fmt::format("the source {} page {} at the wrong time",
                                                     arrival.prepaged ? "pre-paged" : "pushed", arrival.run.first)));
      return true;
    }
    const PageRun slice{arrival.run.first, std::min(arrival.run.count, budget)};
    const std::uint64_t done =
        arrival.staged == nullptr ? ArriveInPlace(slice, arrival.prepaged) : ArriveStaged(arrival);
    if (done == 0) return true;  // The kernel asked to retry.
    receiver_.Advance(done);
    progress = true;
    if (arrival.staged != nullptr) break;
    budget -= std::min(budget, done);
  }
  if (receiver_.broken() && progress_.phase() != DestinationPhase::kResident) {
    const absl::Status& failure = receiver_.failure();
    absl::IsUnavailable(failure) ? progress_.LoseChannel(failure) : progress_.LoseSource(failure);
  }
  return progress;
}

std::uint64_t PushArrivals::ArriveInPlace(PageRun run, bool prepaged) {
  SessionStats& stats = pages_.stats();
  stats.bytes_received += run.count * pages_.layout().page_size(run.first);
  for (PageIndex page = run.first; page < run.end() && !progress_.failed(); ++page) {
    ++(prepaged ? stats.pages_prepaged : stats.pages_pushed);
    ArrivePage(page, prepaged);
  }
  return run.count;
}

void PushArrivals::ArrivePage(PageIndex page, bool prepaged) {
  if (prepaged && pages_.discarded(page)) return;
  const PageState state = pages_.state(page);
  if (state == PageState::kAbsent) {
    pages_.Land(page);
  } else if (state == PageState::kWanted) {
    pages_.Move(page, MutantIs(Mutant::kMapWithoutRead) ? PageState::kLanded : PageState::kWantedArrived);
    if (MutantIs(Mutant::kMapWithoutRead)) answerer_.AnswerArrived(page);
  } else if (state == PageState::kArriving) {
    pages_.Land(page);
    answerer_.AnswerArrived(page);
  } else if (!prepaged || state != PageState::kLanded) {
    progress_.Fail(absl::InternalError(fmt::format("page {} was pushed when it was {}", page, PageStateName(state))));
  }
}

std::uint64_t PushArrivals::ArriveStaged(const RunListReceiver::Arrival& arrival) {
  SessionStats& stats = pages_.stats();
  const std::uint64_t page_size = pages_.layout().page_size(arrival.run.first);
  const PageRun slice{arrival.run.first, std::min(arrival.run.count, kStagedPagesPerRound)};
  std::uint64_t done = 0;
  for (; done < slice.count && !progress_.failed(); ++done) {
    const PageIndex page = slice.first + done;
    const std::byte* const bytes = arrival.staged + done * page_size;
    const bool keep = arrival.prepaged && !MutantIs(Mutant::kShowPrePaged);
    if (!(keep ? KeepStaged(page, bytes) : InstallStaged(page, bytes))) break;
    ++(arrival.prepaged ? stats.pages_prepaged : stats.pages_pushed);
    stats.bytes_received += page_size;
  }
  return done;
}

// A thread that is early must not see the page: it would go on with bytes that may be stale, and what it wrote would be
// lost with them.
bool PushArrivals::KeepStaged(PageIndex page, const std::byte* bytes) {
  if (pages_.discarded(page)) return true;
  const MapResult result = pages_.placement().KeepStaged({page, 1}, bytes);
  pages_.CheckMap(result.status);
  if (result.status == MapStatus::kOk) ArrivePage(page, /*prepaged=*/true);
  return result.status != MapStatus::kRetry;
}

bool PushArrivals::InstallStaged(PageIndex page, const std::byte* bytes) {
  const PageState state = pages_.state(page);
  if (state == PageState::kWanted) {
    pages_.Move(page, PageState::kWantedArrived);
    return true;
  }
  // The READ was faster and has been counted as a duplicate.
  if (state != PageState::kAbsent) return true;
  const MapResult result = pages_.placement().MapStaged({page, 1}, bytes);
  pages_.CheckMap(result.status);
  if (result.status == MapStatus::kOk) {
    pages_.Move(page, PageState::kMapped);
    pages_.mapper().OnArrived(page);
    pages_.RecordWake(page);
  }
  return result.status != MapStatus::kRetry;
}

}  // namespace farfault
