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

}  // namespace

DestinationEngine::DestinationEngine(World world, const Config& config)
    : world_(std::move(world)),
      config_(config),
      table_(world_.layout.total_pages()),
      reader_(world_.layout, world_.source, world_.demand_channels, world_.placement, world_.scratch,
              config.demand_slots),
      receiver_(world_.layout, world_.source, world_.placement, world_.push),
      mapper_(world_.layout, table_, world_.placement, config.map_around_pages),
      reads_(kPendingReads) {
  waiters_.reserve(std::size_t{2} * config.demand_slots);
  unmapped_.reserve(config.demand_slots);
  stats_.total_pages = table_.size();
  stats_.metadata_bytes_per_page = static_cast<double>(table_.size_bytes() + mapper_.size_bytes()) /
                                   static_cast<double>(std::max<std::uint64_t>(1, table_.size()));
  if (!receiver_.Start()) Fail(absl::UnavailableError(receiver_.error()));
}

void DestinationEngine::Fail(absl::Status status) {
  if (phase_ == Phase::kFailed || phase_ == Phase::kDone) return;
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
  if (status == MapStatus::kFailed) Fail(absl::InternalError("the kernel refused to map a page that has landed"));
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
  const bool running = phase_ == Phase::kRunning || phase_ == Phase::kResident || phase_ == Phase::kDone;
  if (running) {
    progress |= TakeDemanded();
    progress |= RetryUnmapped();
    progress |= TakeFaults();
    progress |= IssueReads();
  }
  if (phase_ != Phase::kDone) {
    progress |= TakeArrivals();
    progress |= TakeControl();
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
  return !push_expected_ || phase_ != Phase::kRunning ||
         (push_complete_received_ && ListsTakenIn(push_complete_.lists_sent));
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
  switch (message.type) {
    case MessageType::kDirtyRuns:
      return OnDirty(message);
    case MessageType::kSwitchOver:
      return OnSwitchOver(message);
    case MessageType::kHoles:
      return OnHoles(message);
    case MessageType::kPushComplete:
      if (const auto complete = message.As<PushCompleteMessage>()) {
        push_complete_ = *complete;
        push_complete_received_ = true;
        return;
      }
      break;
    case MessageType::kGoodbye:
      if (phase_ == Phase::kResident) {
        phase_ = Phase::kDone;
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
  const bool sound = runs && phase_ == Phase::kWaiting && std::all_of(runs->begin(), runs->end(), [this](PageRun run) {
                       return world_.layout.Contains(run);
                     });
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
  phase_ = Phase::kRunning;
  guest_may_run_ = true;
  world_.control.Send(MessageType::kSwitchedOver);
  return true;
}

void DestinationEngine::ForgetDirty() {
  for (const PageRun& run : dirty_) {
    for (PageIndex page = run.first; page < run.end(); ++page) {
      const PageState state = table_.state(page);
      if (state != PageState::kLanded && state != PageState::kMapped) continue;
      if (!world_.placement.Forget({page, 1})) return Fail(absl::InternalError("a stale page could not be unmapped"));
      Move(page, PageState::kAbsent);
      mapper_.OnForgotten(page);
      ++stats_.pages_stale;
    }
  }
  dirty_.clear();
}

void DestinationEngine::OnHoles(const ControlMessage& message) {
  const auto runs = DecodeRuns(message.payload);
  const bool expected = phase_ == Phase::kRunning || phase_ == Phase::kResident;
  if (!runs || !expected) return Fail(absl::DataLossError("the source sent holes that make no sense"));
  for (const PageRun& run : *runs) {
    if (!world_.layout.Contains(run)) return Fail(absl::DataLossError("the source sent holes outside the memory"));
    for (PageIndex page = run.first; page < run.end(); ++page) {
      // A page that was asked for already comes as zeros by itself.
      if (table_.state(page) != PageState::kAbsent) continue;
      Move(page, PageState::kHole);
      ++stats_.hole_pages;
    }
  }
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
  if (state == PageState::kWanted || arrived) {
    Move(page, PageState::kLanded);
    mapper_.OnArrived(page);
  }
  if (!MapDemanded(page, slot)) unmapped_.push_back({page, slot});
}

bool DestinationEngine::MapDemanded(PageIndex page, std::uint32_t slot) {
  const MapResult result = world_.placement.MapDemanded(page, slot);
  if (result.status == MapStatus::kRetry) return false;
  CheckMap(result.status);
  if (result.status == MapStatus::kOk) {
    if (table_.state(page) != PageState::kMapped) Move(page, PageState::kMapped);
    RecordWake(page);
  }
  reader_.Release(slot);
  return true;
}

bool DestinationEngine::RetryUnmapped() {
  if (unmapped_.empty()) return false;
  std::erase_if(unmapped_, [this](const Unmapped& entry) { return MapDemanded(entry.page, entry.slot); });
  return unmapped_.empty();
}

bool DestinationEngine::TakeArrivals() {
  bool progress = false;
  std::uint64_t budget = kArrivedPagesPerRound;
  while (budget > 0 && phase_ != Phase::kFailed && receiver_.Next()) {
    const RunListReceiver::Arrival& arrival = receiver_.current();
    const PageRun slice{arrival.run.first, std::min(arrival.run.count, budget)};
    const std::uint64_t done =
        arrival.staged == nullptr ? ArriveInPlace(slice, arrival.prepaged) : ArriveStaged(arrival);
    if (done == 0) return progress;
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
    if (state == PageState::kAbsent) {
      Move(page, PageState::kLanded);
      mapper_.OnArrived(page);
    } else if (state == PageState::kWanted) {
      Move(page, MutantIs(Mutant::kMapWithoutRead) ? PageState::kLanded : PageState::kWantedArrived);
      if (MutantIs(Mutant::kMapWithoutRead)) AnswerLanded(page);
    } else if (state == PageState::kArriving) {
      Move(page, PageState::kLanded);
      mapper_.OnArrived(page);
      AnswerLanded(page);
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
  switch (table_.state(page)) {
    case PageState::kMapped:
      return AnswerMapped(page);
    case PageState::kHole:
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
  if (waiters_.size() < waiters_.capacity()) waiters_.push_back({page, world_.clock.Now(), network});
}

void DestinationEngine::RecordWake(PageIndex page) {
  if (waiters_.empty()) return;
  const Nanos now = world_.clock.Now();
  std::erase_if(waiters_, [&](const Waiter& waiter) {
    if (waiter.page != page) return false;
    (waiter.network ? stats_.stall_network : stats_.stall_local).Record(now - waiter.since);
    return true;
  });
}

void DestinationEngine::OnDiscard(PageRun run) {
  for (PageIndex page = run.first; page < run.end(); ++page) {
    if (table_.state(page) == PageState::kAbsent) Move(page, PageState::kHole);
  }
}

// Two threads touched the page, or the kernel took the mapping away again (reclaim): the bytes are where they belong.
void DestinationEngine::AnswerMapped(PageIndex page) {
  const bool direct = world_.placement.direct(page);
  const MapResult result = direct ? world_.placement.MapLanded({page, 1}) : world_.placement.MapZeros({page, 1});
  CheckMap(result.status);
  if (result.status == MapStatus::kRetry) return Requeue(page);
  RecordWake(page);
}

void DestinationEngine::AnswerHole(PageIndex page) {
  const Nanos since = world_.clock.Now();
  const MapResult result = world_.placement.MapZeros({page, 1});
  CheckMap(result.status);
  if (result.status == MapStatus::kRetry) {
    return Requeue(page);
  }
  if (result.status != MapStatus::kOk) return;
  Move(page, PageState::kMapped);
  mapper_.OnArrived(page);
  ++stats_.faults_local;
  stats_.stall_local.Record(world_.clock.Now() - since);
}

void DestinationEngine::AnswerLanded(PageIndex page) {
  const MapStatus status = mapper_.MapAround(page);
  CheckMap(status);
  if (status == MapStatus::kRetry) {
    Requeue(page);
  } else if (status == MapStatus::kOk) {
    RecordWake(page);
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
  if (!fetch_rest_ || phase_ != Phase::kRunning) return false;
  bool progress = false;
  while (reads_count_ == 0 && reads_ahead_ < std::min(kReadAheadSlots, config_.demand_slots / 2)) {
    PageRun absent = table_.NextRun(PageState::kAbsent, read_ahead_at_, table_.size(), 1);
    if (absent.count == 0) absent = table_.NextRun(PageState::kAbsent, 0, read_ahead_at_, 1);
    if (absent.count == 0 || reader_.Read(absent.first, {.ahead = true}) != PostResult::kOk) break;
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
