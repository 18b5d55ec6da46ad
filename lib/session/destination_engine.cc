#include "lib/session/destination_engine.h"

#include <utility>

namespace farfault {

DestinationEngine::DestinationEngine(World world, const Config& config)
    : link_(world.control),
      table_(world.page_states.empty() ? PageTable(world.layout.total_pages()) : PageTable(world.page_states)),
      progress_(table_, world.control, config.faults.runs_early),
      pages_({world.layout, table_, world.placement, world.clock, progress_}, config.map_around_pages,
             static_cast<std::uint32_t>(FaultAnswerer::kPending) + 4 * config.demand_slots),
      demand_(pages_, progress_, world.source, world.demand_channels, world.scratch, config.demand_slots),
      answerer_(pages_, progress_, demand_, world.faults, config.faults),
      push_(pages_, progress_, answerer_, world.source, std::move(world.push)),
      control_(pages_, progress_, push_, world.source.memory, world.control, std::move(world.before_guest_runs)) {
  for (PageIndex page = 0; page < world.page_states.size(); ++page) {
    const PageState state = table_.state(page);
    if (state == PageState::kLanded || state == PageState::kMapped) pages_.mapper().OnArrived(page);
  }
}

void DestinationEngine::TakeOver(PageRun mapped) {
  for (PageIndex page = mapped.first; page < mapped.end(); ++page) {
    const PageState state = pages_.state(page);
    if (state == PageState::kMapped) continue;
    pages_.Move(page, PageState::kMapped);
    if (state != PageState::kLanded) pages_.mapper().OnArrived(page);
  }
}

void DestinationEngine::RefusePrePaged(PageRun run) {
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (pages_.state(page) == PageState::kAbsent) pages_.DiscardEarly(page);
  }
}

bool DestinationEngine::Poll() {
  if (progress_.failed()) {
    link_.Receive();  // Lets the reason reach the peer.
    return false;
  }
  bool progress = false;
  const bool running = guest_may_run();
  // Before the switchover nothing comes, but a channel that is lost by then must be seen.
  bool came = demand_.Take();
  if (running) came |= demand_.RetryUnmapped();
  progress |= came;
  progress |= answerer_.Take();
  if (running) progress |= answerer_.AnswerPending();
  if (phase() != Phase::kDone) {
    came |= push_.Take();
    came |= control_.Take();
    progress_.SettleLoss(came);
    progress |= came;
  }
  // A guest that came now could not be brought the rest of its memory.
  if (!progress_.losing_source()) progress |= control_.FinishSwitchOver();
  if (running && !progress_.failed()) {
    progress |= ReadAhead();
    progress |= control_.TellWhenResident();
    progress |= MapInBackground();
  }
  return progress;
}

// What a finished push has left absent, because it was discarded here, nobody else brings. Faults go first.
bool DestinationEngine::ReadAhead() {
  const bool rest = fetch_rest_ || control_.pushed_all();
  if (phase() != Phase::kRunning || !(rest || demand_.has_order())) return false;
  return answerer_.idle() && demand_.ReadAhead(rest);
}

// Pages in chunks that are still filling up are left alone: a finished chunk is mapped at once, and more cheaply.
bool DestinationEngine::MapInBackground() {
  const bool sweep = !progress_.push_expected() || phase() != Phase::kRunning || control_.pushed_all();
  const bool progress = pages_.mapper().MapSome(sweep);
  pages_.CheckMap(pages_.mapper().status());
  return progress;
}

std::uint64_t DestinationEngine::demand_steps() const {
  const SessionStats& stats = pages_.stats();
  return stats.faults_network + stats.faults_local + stats.pages_demanded + stats.pages_fetched;
}

SessionStats DestinationEngine::Stats() const {
  SessionStats stats = pages_.stats();
  stats.resident_pages = resident_pages();
  stats.mapped_pages = table_.count(PageState::kMapped);
  stats.chunks_collapsed = pages_.mapper().chunks_collapsed();
  stats.collapses_declined = pages_.mapper().collapses_declined();
  return stats;
}

}  // namespace farfault
