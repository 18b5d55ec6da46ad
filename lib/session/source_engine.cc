#include "lib/session/source_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "lib/session/extent_messages.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

constexpr int kHintsPerRound = 64;

}  // namespace

SourceEngine::SourceEngine(World world, const PushOptions& options)
    : world_(std::move(world)),
      push_enabled_(options.enabled),
      push_channels_(world_.push.channels.size()),
      pusher_(world_.layout, world_.destination, world_.tables, std::move(world_.push), options, world_.predictor) {
  std::vector<PageRun> regions;
  for (const PageLayout::RegionPages& region : world_.layout.regions()) regions.push_back(region.pages);
  world_.predictor.OnLayout(regions);
  stats_.total_pages = world_.layout.total_pages();
  const auto pages = static_cast<double>(std::max<std::uint64_t>(1, stats_.total_pages));
  stats_.metadata_bytes_per_page =
      static_cast<double>(SourceTableLayout{stats_.total_pages}.hint_offset() + pusher_.settled().size_bytes()) / pages;
}

void SourceEngine::Fail(absl::Status status) {
  if (over()) return;
  outcome_unknown_ = phase_ == Phase::kSwitching;
  phase_ = Phase::kFailed;
  failure_ = std::move(status);
  world_.control.SendFailure(failure_);
}

bool SourceEngine::Poll() {
  bool progress = TakeControl();
  if (over()) return progress;
  if (phase_ == Phase::kSwitchedOver) progress |= TakeHints();
  progress |= pusher_.Poll();
  if (pusher_.broken()) {
    // A destination that hung up has said why before it did. Each kind of message is welcome once, so this ends.
    while (const auto message = over() ? std::nullopt : world_.control.Receive()) OnMessage(*message);
    Fail(absl::UnavailableError(
        fmt::format("the push channel to the destination is lost{}", Because(pusher_.failure()))));
    return progress;
  }
  if (phase_ == Phase::kDraining) progress |= SendSwitchOver();
  if (phase_ == Phase::kSwitchedOver) progress |= ReportComplete();
  return progress;
}

bool SourceEngine::at_rest() const {
  const bool pushed = complete_reported_ || !push_enabled_;
  return phase_ == Phase::kSwitchedOver && push_started_ && pushed && world_.control.flushed();
}

bool SourceEngine::TakeControl() {
  const std::optional<ControlMessage> message = world_.control.Receive();
  if (message) OnMessage(*message);
  if (!world_.control.status().ok()) Fail(world_.control.status());
  return message.has_value();
}

void SourceEngine::OnMessage(const ControlMessage& message) {
  if (message.type == MessageType::kMayActivate && !destination_ready_ &&
      (phase_ == Phase::kPrePaging || phase_ == Phase::kDraining)) {
    destination_ready_ = true;
  } else if (message.type == MessageType::kSwitchedOver && phase_ == Phase::kSwitching) {
    phase_ = Phase::kSwitchedOver;
    handed_over_ = true;
    // Finding the holes takes longer than these few pages, which are none, and the guest's devices begin with them.
    if (push_enabled_) pusher_.PushFirst(dirty_);
  } else if (message.type == MessageType::kSwitchedOver && outcome_unknown_) {
    // The session is lost, but now it is known where the guest runs.
    handed_over_ = true;
    outcome_unknown_ = false;
  } else if (message.type == MessageType::kResident && phase_ == Phase::kSwitchedOver) {
    phase_ = Phase::kDrained;
    world_.control.Send(MessageType::kGoodbye);
  } else if (message.type == MessageType::kFailure) {
    refused_ = !over();
    Fail(DecodeFailure(message.payload));
    // Its messages come in order: had it taken over, it would have said so first.
    outcome_unknown_ = false;
  } else {
    Fail(absl::DataLossError(
        fmt::format("the destination sent message {} at the wrong time", static_cast<int>(message.type))));
  }
}

void SourceEngine::Offer(std::span<const Extent> extents) {
  if (phase_ == Phase::kPrePaging) SendExtents(world_.control, extents);
}

// Once the guest has stopped, the dirty set is final: a page that were pre-paged or marked later would be pushed over
// bytes that the guest may be using at the destination.
void SourceEngine::OfferPrePage(std::span<const PageRun> runs) {
  if (phase_ != Phase::kPrePaging) return;
  for (const PageRun& run : runs) pusher_.Offer(run);
}

void SourceEngine::MarkStale(PageRun run) {
  if (phase_ == Phase::kPrePaging) pusher_.MarkStale(run);
}

void SourceEngine::BeginSwitchOver(std::vector<PageRun> dirty, std::span<const PageHeat> hottest_first) {
  if (phase_ != Phase::kPrePaging) return;
  pusher_.DropOffers();
  if (!hottest_first.empty()) world_.predictor.OnHistory(hottest_first);
  dirty_ = std::move(dirty);
  for (const PageRun& run : dirty_) pusher_.MarkStale(run);
  phase_ = Phase::kDraining;
}

bool SourceEngine::SendSwitchOver() {
  // Every WRITE of pre-paging has landed before the destination is asked to forget what became stale. And it is only
  // asked when it can answer at once: once the question is out, silence leaves open on which side the guest runs.
  if (!pusher_.idle() || !destination_ready_) return false;
  world_.control.SendRuns(MessageType::kDirtyRuns, dirty_);
  SwitchOverMessage message{.push_enabled = push_enabled_ ? 1u : 0u};
  for (std::size_t i = 0; i < push_channels_; ++i) message.lists_sent[i] = pusher_.lists_sent(i);
  world_.control.SendStruct(MessageType::kSwitchOver, message);
  phase_ = Phase::kSwitching;
  return true;
}

void SourceEngine::StartPush(std::span<const PageRun> holes) {
  if (phase_ != Phase::kSwitchedOver || push_started_) return;
  push_started_ = true;
  for (const PageRun& run : holes) {
    pusher_.MarkHole(run);
    stats_.hole_pages += run.count;
  }
  world_.control.SendRuns(MessageType::kHoles, holes);
  if (push_enabled_) pusher_.StartPush();
}

bool SourceEngine::TakeHints() {
  int taken = 0;
  for (; taken < kHintsPerRound; ++taken) {
    const std::uint64_t entry = world_.tables.hint(next_hint_);
    const std::uint64_t ahead = (Hint::Number(entry) - next_hint_) & Hint::kNumberMask;
    // Not written yet: what stands there is from an earlier lap (or, at first, zero).
    if (ahead > Hint::kNumberMask / 2) break;
    stats_.hints_lost += ahead;
    ++stats_.hints_seen;
    next_hint_ += ahead + 1;
    const PageIndex page = Hint::Page(entry);
    if (page < stats_.total_pages) pusher_.OnFault(page, absl::FromUnixNanos(world_.clock.Now()));
  }
  return taken > 0;
}

bool SourceEngine::ReportComplete() {
  if (complete_reported_ || !pusher_.complete()) return false;
  complete_reported_ = true;
  PushCompleteMessage message;
  for (std::size_t i = 0; i < push_channels_; ++i) message.lists_sent[i] = pusher_.lists_sent(i);
  world_.control.SendStruct(MessageType::kPushComplete, message);
  return true;
}

SessionStats SourceEngine::Stats() const {
  SessionStats stats = stats_;
  stats.pages_sent = pusher_.counters().pages_sent;
  stats.bytes_sent = pusher_.counters().bytes_sent;
  stats.pages_yielded = pusher_.counters().pages_yielded;
  stats.predictor_out_of_range = pusher_.predictor_out_of_range();
  return stats;
}

}  // namespace farfault
