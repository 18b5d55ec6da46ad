#include "lib/session/destination_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "lib/util/mutant.h"

namespace farfault {
namespace {

constexpr std::size_t kFaultsPerRound = 64;
constexpr std::size_t kPendingReads = 4096;
// Arrivals are taken in between faults, a bounded number of pages at a time.
constexpr std::uint64_t kArrivedPagesPerRound = 1024;
constexpr std::uint64_t kStagedPagesPerRound = 32;
constexpr std::uint32_t kReadAheadSlots = 16;
// States that are looked at or changed in one go, so that no fault waits for a walk over a large table.
constexpr std::uint64_t kStatesPerRound = 16u << 10;

}  // namespace

DestinationEngine::DestinationEngine(World world, const Config& config)
    : world_(std::move(world)),
      config_(config),
      table_(world_.layout.total_pages()),
      reader_(world_.layout, world_.source, world_.demand_channels, world_.placement, world_.scratch,
              config.demand_slots),
      receiver_(world_.layout, world_.source, world_.placement, world_.push),
      mapper_(world_.layout, table_, world_.placement, config.map_around_pages),
      discarded_(world_.layout.total_pages()),
      waiters_(kPendingReads + 4 * config.demand_slots),
      reads_(kPendingReads) {
  unmapped_.reserve(config.demand_slots);
  stats_.total_pages = table_.size();
  const std::size_t metadata = table_.size_bytes() + mapper_.size_bytes() + discarded_.size_bytes();
  stats_.metadata_bytes_per_page =
      static_cast<double>(metadata) / static_cast<double>(std::max<std::uint64_t>(1, table_.size()));
  if (!receiver_.Start()) Fail(absl::UnavailableError(receiver_.error()));
}

void DestinationEngine::Fail(absl::Status status) {
  if (phase_ == Phase::kFailed || (phase_ == Phase::kDone && all_mapped())) return;
  phase_ = Phase::kFailed;
  failure_ = std::move(status);
  world_.control.SendFailure(failure_);
}

void DestinationEngine::Move(PageIndex page, PageState to) {
  const PageState from = table_.state(page);
  if (table_.Move(page, to)) return;
  Fail(absl::InternalError(
      fmt::format("page {} cannot go from {} to {}: the peer broke the claim protocol, or this is a bug", page,
                  PageStateName(from), PageStateName(to))));
}

void DestinationEngine::CheckMap(MapStatus status) {
  if (status == MapStatus::kGuestGone) Fail(absl::AbortedError("the process that the guest lives in has exited"));
  if (status != MapStatus::kFailed) return;
  const absl::Status& refused = world_.placement.failure();
  Fail(refused.ok() ? absl::InternalError("the kernel has mapped a page that had not landed: this is a bug") : refused);
}

void DestinationEngine::AllowActivation() {
  if (activation_allowed_ || phase_ == Phase::kFailed) return;
  activation_allowed_ = true;
  world_.control.Send(MessageType::kMayActivate);
}

bool DestinationEngine::Poll() {
  if (phase_ == Phase::kFailed) {
    world_.control.Receive();  // Lets the reason reach the peer.
    return false;
  }
  bool progress = false;
  const bool running = guest_may_run();
  if (running) {
    progress |= TakeDemanded();
    progress |= RetryUnmapped();
  }
  progress |= TakeFaults();
  if (running) progress |= IssueReads();
  if (phase_ != Phase::kDone) {
    progress |= TakeArrivals();
    progress |= holes_.empty() ? TakeControl() : TakeHoles();
  }
  if (phase_ == Phase::kSwitchArrived) progress |= FinishSwitchOver();
  if (running && phase_ != Phase::kFailed) {
    progress |= ReadAhead();
    progress |= CheckResident();
    progress |= mapper_.MapSome(wants_background_mapping());
    CheckMap(mapper_.status());
  }
  return progress;
}

// Pages in chunks that are still filling up are left alone: a finished chunk is mapped at once, and more cheaply.
bool DestinationEngine::wants_background_mapping() const {
  return !push_expected_ || phase_ != Phase::kRunning || pushed_all();
}

bool DestinationEngine::TakeControl() {
  const std::optional<ControlMessage> message = world_.control.Receive();
  if (message) OnMessage(*message);
  if (!world_.control.status().ok() && phase_ == Phase::kResident) phase_ = Phase::kDone;
  if (!world_.control.status().ok() && phase_ != Phase::kDone) {
    Fail(absl::Status(world_.control.status().code(), fmt::format("{}; pages that are missing here stay parked",
                                                                  std::string(world_.control.status().message()))));
  }
  return message.has_value();
}

void DestinationEngine::OnMessage(const ControlMessage& message) {
  if (phase_ == Phase::kResident) {
    // Everything is here. Holes and the end of the push may have crossed our message; whatever else the source says,
    // be it that it failed, is its goodbye.
    if (message.type != MessageType::kHoles && message.type != MessageType::kPushComplete) phase_ = Phase::kDone;
    return;
  }
  switch (message.type) {
    case MessageType::kDirtyRuns:
      return OnDirty(message);
    case MessageType::kSwitchOver:
      return OnSwitchOver(message);
    case MessageType::kHoles:
      return OnHoles(message);
    case MessageType::kPushComplete:
      if (const auto complete = message.As<PushCompleteMessage>();
          complete && phase_ == Phase::kRunning && !push_complete_received_) {
        push_complete_ = *complete;
        push_complete_received_ = true;
        return;
      }
      break;
    case MessageType::kFailure:
      return Fail(DecodeFailure(message.payload));
    default:
      break;
  }
  Fail(absl::DataLossError(
      fmt::format("the source sent message {} at the wrong time or malformed", static_cast<int>(message.type))));
}

void DestinationEngine::OnDirty(const ControlMessage& message) {
  const auto runs = DecodeRuns(message.payload);
  bool sound = runs && phase_ == Phase::kWaiting;
  for (std::size_t i = 0; sound && i < runs->size(); ++i) {
    const PageRun run = (*runs)[i];
    sound = run.count > 0 && world_.layout.Contains(run);
    dirty_pages_ += run.count;
    // No page is dirty twice, which bounds what a source can make us keep.
    sound = sound && dirty_pages_ <= table_.size();
  }
  if (!sound) return Fail(absl::DataLossError("the source sent a dirty set that makes no sense"));
  dirty_.insert(dirty_.end(), runs->begin(), runs->end());
}

void DestinationEngine::OnSwitchOver(const ControlMessage& message) {
  const auto switch_over = message.As<SwitchOverMessage>();
  if (!switch_over || phase_ != Phase::kWaiting) {
    return Fail(absl::DataLossError("the source sent a switchover that makes no sense"));
  }
  switch_over_ = *switch_over;
  push_expected_ = switch_over_.push_enabled != 0;
  if (MutantIs(Mutant::kApplyDirtyEarly)) ForgetDirty();
  phase_ = Phase::kSwitchArrived;
}

bool DestinationEngine::ListsTakenIn(const std::array<std::uint64_t, kMaxPushChannels>& sent) const {
  for (std::size_t i = 0; i < world_.push.channels.size(); ++i) {
    if (receiver_.lists_done(i) < sent[i]) return false;
  }
  return true;
}

bool DestinationEngine::FinishSwitchOver() {
  // Run lists that were sent ahead of the dirty set must not revive what it takes back.
  if (!activation_allowed_ || !ListsTakenIn(switch_over_.lists_sent)) return false;
  if (!MutantIs(Mutant::kIgnoreDirtySet) && !MutantIs(Mutant::kApplyDirtyEarly)) ForgetDirty();
  if (phase_ == Phase::kFailed) return true;
  if (any_discarded_early_) discarded_.ClearAll();
  phase_ = Phase::kRunning;
  guest_may_run_ = true;
  world_.control.Send(MessageType::kSwitchedOver);
  return true;
}

void DestinationEngine::ForgetDirty() {
  for (const PageRun& run : dirty_) {
    for (PageIndex page = run.first; page < run.end() && phase_ != Phase::kFailed;) {
      const PageRun rest = world_.layout.ClipToRegion({page, run.end() - page});
      stats_.pages_stale += ForgetRun(rest);
      page = rest.end();
    }
  }
  dirty_.clear();
}

std::uint64_t DestinationEngine::ForgetRun(PageRun run) {
  std::uint64_t forgotten = 0;
  const auto is_here = [this](PageIndex page) {
    return table_.state(page) == PageState::kLanded || table_.state(page) == PageState::kMapped;
  };
  for (PageIndex page = run.first; page < run.end();) {
    PageIndex end = page;
    while (end < run.end() && is_here(end)) ++end;
    if (end == page) {
      ++page;
      continue;
    }
    if (!world_.placement.Forget({page, end - page})) {
      Fail(absl::InternalError("a stale page could not be unmapped"));
      return forgotten;
    }
    forgotten += end - page;
    for (; page < end; ++page) {
      Move(page, PageState::kAbsent);
      mapper_.OnForgotten(page);
    }
  }
  return forgotten;
}

void DestinationEngine::OnHoles(const ControlMessage& message) {
  auto runs = DecodeRuns(message.payload);
  if (!runs || phase_ != Phase::kRunning) return Fail(absl::DataLossError("the source sent holes that make no sense"));
  for (const PageRun& run : *runs) {
    if (!world_.layout.Contains(run)) return Fail(absl::DataLossError("the source sent holes outside the memory"));
  }
  holes_ = *std::move(runs);
  next_hole_ = 0;
}

bool DestinationEngine::TakeHoles() {
  std::uint64_t budget = kStatesPerRound;
  for (; budget > 0 && next_hole_ < holes_.size(); --budget) {
    PageRun& run = holes_[next_hole_];
    if (run.count == 0) {
      ++next_hole_;
      continue;
    }
    const PageIndex page = run.first++;
    --run.count;
    // A page that was asked for already comes as zeros by itself.
    if (table_.state(page) != PageState::kAbsent) continue;
    Move(page, PageState::kHole);
    ++stats_.hole_pages;
  }
  if (next_hole_ == holes_.size()) holes_.clear();
  return true;
}

bool DestinationEngine::TakeDemanded() {
  std::array<DemandedPage, 16> demanded;
  const std::size_t count = reader_.Poll(demanded);
  for (const DemandedPage& page : std::span(demanded).first(count)) {
    if (phase_ != Phase::kFailed) OnDemanded(page);
  }
  if (reader_.broken() && phase_ == Phase::kRunning) {
    Fail(absl::UnavailableError("the demand channel to the source is lost; pages that are missing here stay parked"));
  }
  return count > 0;
}

void DestinationEngine::OnDemanded(const DemandedPage& demanded) {
  const auto [page, slot, claim, ahead] = demanded;
  if (claim > Claim::kPosted) {
    return Fail(absl::DataLossError(fmt::format("the source's claim on page {} makes no sense", page)));
  }
  const PageState state = table_.state(page);
  const bool arrived = state == PageState::kWantedArrived;
  stats_.bytes_received += world_.layout.page_size(page);
  if (ahead) {
    ++stats_.pages_fetched;
    --reads_ahead_;
  } else {
    ++stats_.pages_demanded;
  }
  if (claim == Claim::kPosted) ++stats_.duplicates;
  // A push that is out would overwrite the frame later. A staged page has its frame to itself.
  if (claim == Claim::kPosted && !arrived && world_.placement.direct(page) && !MutantIs(Mutant::kMapOnPosted)) {
    reader_.Release(slot);
    return Move(page, PageState::kArriving);
  }
  // A staged page has landed when it is mapped: until then its bytes are nowhere but in the demand slot.
  if (world_.placement.direct(page) && (state == PageState::kWanted || arrived)) Land(page);
  if (!MapDemanded(page, slot)) unmapped_.push_back({page, slot});
}

void DestinationEngine::Land(PageIndex page) {
  Move(page, PageState::kLanded);
  if (discarded_.Test(page)) {
    discarded_.Clear(page);
    Move(page, PageState::kHole);
  } else {
    mapper_.OnArrived(page);
  }
}

bool DestinationEngine::MapDemanded(PageIndex page, std::uint32_t slot) {
  if (discarded_.Test(page)) Land(page);
  if (table_.state(page) == PageState::kHole) {
    if (!MapHole(page)) return false;
    reader_.Release(slot);
    return true;
  }
  if (table_.state(page) == PageState::kMapped) {
    // While this was put off, another fault or a neighbour has had the page mapped. The guest may have given it back
    // since: these bytes are too old.
    RecordWake(page);
    reader_.Release(slot);
    return true;
  }
  const MapResult result = world_.placement.MapDemanded(page, slot);
  if (result.status == MapStatus::kRetry) return false;
  CheckMap(result.status);
  if (result.status == MapStatus::kOk) {
    if (!world_.placement.direct(page)) Land(page);
    Move(page, PageState::kMapped);
    RecordWake(page);
  }
  reader_.Release(slot);
  return true;
}

bool DestinationEngine::RetryUnmapped() {
  if (unmapped_.empty()) return false;
  std::erase_if(unmapped_, [this](const Unmapped& entry) { return MapDemanded(entry.page, entry.slot); });
  return true;  // Also when none could be mapped: nothing wakes a thread that sleeps on a retry.
}

bool DestinationEngine::TakeArrivals() {
  bool progress = false;
  // Each page may have to be mapped by way of the ring of pending reads.
  std::uint64_t budget = std::min<std::uint64_t>(kArrivedPagesPerRound, reads_.size() - reads_count_);
  while (budget > 0 && phase_ != Phase::kFailed && receiver_.Next()) {
    const RunListReceiver::Arrival& arrival = receiver_.current();
    if (arrival.prepaged == guest_may_run()) {
      Fail(absl::DataLossError(fmt::format("the source {} page {} at the wrong time",
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
  if (receiver_.broken() && phase_ != Phase::kResident) {
    Fail(absl::UnavailableError(fmt::format("{}; pages that are missing here stay parked", receiver_.error())));
  }
  return progress;
}

std::uint64_t DestinationEngine::ArriveInPlace(PageRun run, bool prepaged) {
  stats_.bytes_received += run.count * world_.layout.page_size(run.first);
  for (PageIndex page = run.first; page < run.end() && phase_ != Phase::kFailed; ++page) {
    ++(prepaged ? stats_.pages_prepaged : stats_.pages_pushed);
    const PageState state = table_.state(page);
    if (prepaged && discarded_.Test(page)) continue;
    if (state == PageState::kAbsent) {
      Land(page);
    } else if (state == PageState::kWanted) {
      Move(page, MutantIs(Mutant::kMapWithoutRead) ? PageState::kLanded : PageState::kWantedArrived);
      if (MutantIs(Mutant::kMapWithoutRead)) AnswerLanded(page);
    } else if (state == PageState::kArriving) {
      Land(page);
      if (table_.state(page) == PageState::kHole) {
        AnswerHole(page);
      } else {
        AnswerLanded(page);
      }
    } else if (!prepaged || state != PageState::kLanded) {
      Fail(absl::InternalError(fmt::format("page {} was pushed when it was {}", page, PageStateName(state))));
    }
  }
  return run.count;
}

std::uint64_t DestinationEngine::ArriveStaged(const RunListReceiver::Arrival& arrival) {
  const std::uint64_t page_size = world_.layout.page_size(arrival.run.first);
  std::uint64_t done = 0;
  for (; done < std::min(arrival.run.count, kStagedPagesPerRound) && phase_ != Phase::kFailed; ++done) {
    if (!InstallStaged(arrival.run.first + done, arrival.staged + done * page_size, arrival.prepaged)) break;
    ++(arrival.prepaged ? stats_.pages_prepaged : stats_.pages_pushed);
    stats_.bytes_received += page_size;
  }
  return done;
}

bool DestinationEngine::InstallStaged(PageIndex page, const std::byte* bytes, bool prepaged) {
  const PageState state = table_.state(page);
  if (prepaged && discarded_.Test(page)) return true;
  if (state == PageState::kWanted) {
    Move(page, PageState::kWantedArrived);
    return true;
  }
  if (state != PageState::kAbsent && !prepaged)
    return true;  // The READ was faster and has been counted as a duplicate.
  if (state == PageState::kMapped) {
    if (!world_.placement.Forget({page, 1})) Fail(absl::InternalError("a stale page could not be unmapped"));
    Move(page, PageState::kAbsent);
    mapper_.OnForgotten(page);
  }
  const MapResult result = world_.placement.MapStaged({page, 1}, bytes);
  CheckMap(result.status);
  if (result.status == MapStatus::kOk) {
    Move(page, PageState::kMapped);
    mapper_.OnArrived(page);
    RecordWake(page);
  }
  return result.status != MapStatus::kRetry;
}

bool DestinationEngine::TakeFaults() {
  std::array<FeedEvent, kFaultsPerRound> events;
  if (reads_count_ + kFaultsPerRound > reads_.size()) return false;
  const FeedResult result = world_.faults.Drain(events);
  for (const FeedEvent& event : std::span(events).first(result.events)) {
    if (event.kind == FeedEventKind::kFault) {
      OnFault(event.run.first);
    } else {
      OnDiscard(event.run);
    }
  }
  if (result.status == FeedStatus::kGuestGone) CheckMap(MapStatus::kGuestGone);
  if (result.status == FeedStatus::kFailed) Fail(absl::InternalError("userfaultfd reports no faults any more"));
  return result.events > 0;
}

void DestinationEngine::OnFault(PageIndex page) {
  if (!guest_may_run()) {
    // Parked until the switchover, however long that takes: no stall that says anything.
    ++stats_.faults_network;
    return Requeue(page);
  }
  switch (table_.state(page)) {
    case PageState::kMapped:
      return AnswerMapped(page);
    case PageState::kHole:
      ++stats_.faults_local;
      AddWaiter(page, false);
      return AnswerHole(page);
    case PageState::kLanded:
      ++stats_.faults_local;
      AddWaiter(page, false);
      return AnswerLanded(page);
    default:
      break;
  }
  ++stats_.faults_network;
  AddWaiter(page, true);
  if (table_.state(page) != PageState::kAbsent) return;
  // Faults are answered in the order in which they came.
  if (reads_count_ > 0 || reader_.Read(page, {.hint = push_expected_}) != PostResult::kOk) return Requeue(page);
  Move(page, PageState::kWanted);
}

void DestinationEngine::AddWaiter(PageIndex page, bool network) {
  // Full only with thousands of threads on one page: then some stalls are not recorded.
  static_cast<void>(waiters_.Add(page, world_.clock.Now(), network));
}

void DestinationEngine::RecordWake(PageIndex page) {
  if (waiters_.empty()) return;
  const Nanos now = world_.clock.Now();
  waiters_.Take(page, [&](Nanos since, bool network) {
    (network ? stats_.stall_network : stats_.stall_local).Record(now - since);
  });
}

void DestinationEngine::OnDiscard(PageRun run) {
  if (MutantIs(Mutant::kIgnoreDiscards)) return;
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (guest_may_run()) {
      DiscardPage(page);
    } else {
      DiscardEarly(page);
    }
  }
}

// What is to be in the page is at the source still. A WRITE that was on its way may or may not have been lost with the
// frame, so that the page is READ after the switchover, whatever is pre-paged until then.
void DestinationEngine::DiscardEarly(PageIndex page) {
  discarded_.Set(page);
  any_discarded_early_ = true;
  if (table_.state(page) == PageState::kAbsent) return;
  Move(page, PageState::kAbsent);
  mapper_.OnForgotten(page);
}

void DestinationEngine::DiscardPage(PageIndex page) {
  const PageState state = table_.state(page);
  const bool frame_is_its_own = !push_expected_ || !world_.placement.direct(page);
  if (state == PageState::kLanded) {
    mapper_.OnForgotten(page);
    Move(page, PageState::kHole);
  } else if (state == PageState::kAbsent && frame_is_its_own) {
    Move(page, PageState::kHole);
  } else if (state != PageState::kMapped && state != PageState::kHole) {
    discarded_.Set(page);  // The old bytes may come yet; they must not come to life.
  }
}

void DestinationEngine::AnswerMapped(PageIndex page) {
  const MapResult result = world_.placement.MapAgain(page);
  CheckMap(result.status);
  if (result.status == MapStatus::kRetry) return Requeue(page);
  RecordWake(page);
}

void DestinationEngine::AnswerHole(PageIndex page) {
  if (!MapHole(page)) Requeue(page);
}

bool DestinationEngine::MapHole(PageIndex page) {
  const MapResult result = world_.placement.MapZeros({page, 1});
  CheckMap(result.status);
  if (result.status == MapStatus::kOk) {
    Move(page, PageState::kMapped);
    mapper_.OnArrived(page);
    RecordWake(page);
  }
  return result.status != MapStatus::kRetry;
}

void DestinationEngine::AnswerLanded(PageIndex page) {
  const MapStatus status = mapper_.MapAround(page);
  CheckMap(status);
  // The kernel may have asked to retry behind this page.
  if (table_.state(page) == PageState::kMapped) {
    RecordWake(page);
  } else if (status == MapStatus::kRetry) {
    Requeue(page);
  }
}

bool DestinationEngine::IssueReads() {
  bool progress = false;
  for (std::size_t left = reads_count_; left > 0 && phase_ != Phase::kFailed; --left) {
    const PageIndex page = reads_[reads_head_];
    if (table_.state(page) == PageState::kAbsent) {
      if (reader_.Read(page, {.hint = push_expected_}) != PostResult::kOk) break;
      Move(page, PageState::kWanted);
    }
    reads_head_ = (reads_head_ + 1) % reads_.size();
    --reads_count_;
    progress = true;
    switch (table_.state(page)) {
      case PageState::kMapped:
        AnswerMapped(page);
        break;
      case PageState::kHole:
        AnswerHole(page);
        break;
      case PageState::kLanded:
        AnswerLanded(page);
        break;
      default:
        break;  // On its way.
    }
  }
  return progress;
}

bool DestinationEngine::ReadAhead() {
  // What a finished push has left absent, because it was discarded here, nobody else brings.
  if (phase_ != Phase::kRunning || !(fetch_rest_ || pushed_all())) return false;
  const std::uint32_t most = std::clamp(config_.demand_slots / 2, 1u, kReadAheadSlots);
  bool progress = false;
  while (reads_count_ == 0 && reads_ahead_ < most && table_.count(PageState::kAbsent) > 0) {
    const PageIndex limit = std::min(read_ahead_at_ + kStatesPerRound, table_.size());
    const PageRun absent = table_.NextRun(PageState::kAbsent, read_ahead_at_, limit, 1);
    if (absent.count == 0) {
      read_ahead_at_ = limit == table_.size() ? 0 : limit;
      return true;
    }
    if (reader_.Read(absent.first, {.ahead = true}) != PostResult::kOk) break;
    Move(absent.first, PageState::kWanted);
    read_ahead_at_ = absent.first + 1;
    ++reads_ahead_;
    progress = true;
  }
  return progress;
}

bool DestinationEngine::CheckResident() {
  if (phase_ != Phase::kRunning || resident_pages() + table_.count(PageState::kHole) != table_.size()) return false;
  phase_ = Phase::kResident;
  world_.control.Send(MessageType::kResident);
  return true;
}

std::uint64_t DestinationEngine::resident_pages() const {
  return table_.count(PageState::kLanded) + table_.count(PageState::kMapped);
}

SessionStats DestinationEngine::Stats() const {
  SessionStats stats = stats_;
  stats.resident_pages = resident_pages();
  stats.mapped_pages = table_.count(PageState::kMapped);
  stats.chunks_collapsed = mapper_.chunks_collapsed();
  stats.collapses_declined = mapper_.collapses_declined();
  return stats;
}

}  // namespace farfault
