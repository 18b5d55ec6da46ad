#include <fmt/format.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/page/extent_plan.h"
#include "lib/page/guest_mapping.h"
#include "lib/prepage/holes.h"
#include "lib/runtime/source_session.h"
#include "lib/util/deadline.h"
#include "lib/util/start_thread.h"
#include "lib/util/status_text.h"

// The switchover, as the source goes through it.
namespace farfault {

absl::Status ThreadedSourceSession::SwitchOver() {
  const MutexLock lock(&guest_mutex_);
  if (absl::Status allowed = CheckBeforeSwitchOver("SwitchOver"); !allowed.ok()) return allowed;
  if (std::exchange(switch_over_called_, true)) {
    return absl::FailedPreconditionError("SwitchOver has been called already");
  }
  const Nanos start = core_.clock.Now();
  auto dirty = SettleMemory();
  if (!dirty.ok()) {
    switch_over_called_ = false;
    return dirty.status();
  }
  const std::vector<PageHeat> hottest = pre_pager_->TakeHottest();
  thread_->Call([&] { engine_->BeginSwitchOver(*std::move(dirty), hottest); });
  if (absl::Status handed_over = HandOver(); !handed_over.ok()) return handed_over;
  switchover_ns_ = core_.clock.Now() - start;
  BeginPushSoon();
  return absl::OkStatus();
}

// What the push needs first takes a while, and the caller may have a guest to start elsewhere.
void ThreadedSourceSession::BeginPushSoon() {
  auto thread = StartThread("ff-begin-push", [this] {
    {
      const MutexLock lock(&guest_mutex_);
      BeginPush();
    }
    push_started_.Notify();
  });
  if (thread.ok()) {
    push_starter_ = *std::move(thread);
    return;
  }
  BeginPush();
  push_started_.Notify();
}

// The guest has stopped: from here on it is known what is out of date at the destination, and what is a hole.
absl::StatusOr<std::vector<PageRun>> ThreadedSourceSession::SettleMemory() {
  if (absl::Status whole = CheckFileLengths(core_.memory.regions()); !whole.ok()) return whole;
  if (absl::Status caught_up = late_memory_->CatchUp(LateMemory::Guest::kStopped); !caught_up.ok()) {
    return absl::Status(
        caught_up.code(),
        fmt::format("memory that the guest has populated since the session began cannot be offered; the "
                    "guest may go on here: {}",
                    StatusText(caught_up)));
  }
  return pre_pager_->LastDirty();
}

absl::Status ThreadedSourceSession::HandOver() {
  const auto asked = [this] { return engine_->phase() != Phase::kDraining; };
  if (!thread_->WaitUntil(asked, Deadline::After(options_.handshake_timeout))) {
    thread_->Call([this] {
      if (engine_->phase() == Phase::kDraining) {
        engine_->Fail(absl::DeadlineExceededError(
            "the destination is not ready to take over (has it called Activate?); the guest may go on at the source"));
      }
    });
  }
  const auto answered = [this] { return engine_->phase() != Phase::kSwitching; };
  if (!thread_->WaitUntil(answered, Deadline::After(options_.handshake_timeout))) {
    thread_->Call([this] {
      if (engine_->phase() == Phase::kSwitching) {
        engine_->Fail(absl::DeadlineExceededError("the destination did not answer the switchover in time"));
      }
    });
  }
  return WhyNotHandedOver();
}

absl::Status ThreadedSourceSession::WhyNotHandedOver() const {
  absl::Status failure;
  bool unknown = false;
  bool handed_over = false;
  bool refused = false;
  thread_->Call([&] {
    failure = engine_->failure();
    refused = engine_->refused();
    unknown = engine_->outcome_unknown();
    handed_over = engine_->handed_over();
  });
  // A failure that came after the destination had taken over is not the switchover's.
  if (handed_over) return absl::OkStatus();
  // kDataLoss is kept for an outcome that is unknown, and others say what the caller may do.
  const bool peers_fault = refused || absl::IsDataLoss(failure);
  if (!unknown && !peers_fault) return failure;
  if (!unknown) return absl::AbortedError(failure.message());
  return absl::DataLossError(fmt::format(
      "{}; the guest may be running at the destination: ask there before it goes on here", StatusText(failure)));
}

void ThreadedSourceSession::BeginPush() {
  // Tracking hides the holes of private memory, which can only be in this process. There it holds nobody up who has
  // something else to send.
  if (!external_) StopTracking();
  const std::vector<PageRun> never_sent = pre_pager_->NeverSent(Holes());
  thread_->Call([&] { engine_->StartPush(never_sent); });
}

// What has no key is a hole to the destination already; the rest of them saves transfers.
std::vector<PageRun> ThreadedSourceSession::Holes() {
  auto holes = FindHolesIn(core_.memory, pre_pager_->Unsent());
  if (!holes.ok()) {
    core_.events.Send(EventKind::kHint,
                      fmt::format("pages that were never populated are sent as well: {}", StatusText(holes.status())));
    holes.emplace();
  }
  const std::vector<PageRun> unregistered = late_memory_->Missing();
  if (unregistered.empty()) return *std::move(holes);
  std::vector<PageRun> all = WithoutHoles(unregistered, *holes);
  all.insert(all.end(), holes->begin(), holes->end());
  return all;
}

}  // namespace farfault
