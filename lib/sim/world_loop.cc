#include <algorithm>
#include <utility>

#include "lib/page/extent_plan.h"
#include "lib/sim/interleave.h"
#include "lib/sim/world.h"

namespace farfault::sim {
namespace {

constexpr std::uint64_t kCheckTableEvery = 64;

}  // namespace

Nanos World::NextMoment() const { return std::min(agenda_.next(), fabric_->next_event()); }

void World::Step() {
  ++steps_;
  const Nanos moment = NextMoment();
  if (moment == kNever) {
    scene_.Report("every migration ends", "nothing will ever happen again");
    return;
  }
  scene_.now = std::max(scene_.now, moment);
  const bool wire_is_first = fabric_->next_event() <= scene_.now;
  fabric_->AdvanceTo(scene_.now);
  if (!wire_is_first) Handle(agenda_.Pop());
  if (wire_.TakeWakeUp(kSourceSide)) Wake(source_thread_, Actor::kSourceThread);
  if (wire_.TakeWakeUp(kDestinationSide) || kernel_.has_events()) Wake(destination_thread_, Actor::kDestinationThread);
}

void World::Wake(Thread& thread, Actor actor) {
  if (!thread.asleep) return;
  thread.asleep = false;
  At(std::max(scene_.now, thread.busy_until) + scene_.UpTo(config_.scheduling.wake_latency), actor, ++thread.sleep);
}

void World::AfterPoll(Thread& thread, Actor actor, bool progress, Nanos cost) {
  const SchedulingConfig& scheduling = config_.scheduling;
  ++thread.sleep;
  cost += 1 + scene_.UpTo(scheduling.poll_cost);
  thread.busy_until = scene_.now + cost;
  if (scene_.Chance(scheduling.pause_one_in)) {
    At(scene_.now + cost + scene_.UpTo(scheduling.longest_pause), actor, thread.sleep);
  } else if (progress) {
    At(scene_.now + cost, actor, thread.sleep);
  } else {
    thread.asleep = true;
    At(scene_.now + cost + scheduling.longest_sleep, actor, thread.sleep);
  }
}

void World::PreemptCurrent(void* world) { static_cast<World*>(world)->Preempt(); }

void World::Preempt() {
  if (!scene_.Chance(config_.scheduling.preempt_one_in)) return;
  const Nanos until = scene_.now + scene_.UpTo(config_.scheduling.longest_preemption);
  while (NextMoment() <= until && !scene_.violation) Step();
  scene_.now = until;
  fabric_->AdvanceTo(until);
}

void World::PollSource() {
  bool progress = false;
  source_thread_.polling = true;
  {
    const InterleaveScope scope(&World::PreemptCurrent, this);
    progress = source_.engine().Poll();
  }
  source_thread_.polling = false;
  for (const Event& event : std::exchange(deferred_, {})) At(scene_.now, event.actor, event.index);
  AfterPoll(source_thread_, Actor::kSourceThread, progress, 0);
}

void World::PollDestination() {
  const bool progress = destination_.engine().Poll();
  const Nanos cost = kernel_.TakeCost();
  for (const std::size_t caller : std::exchange(kernel_.woken(), {})) {
    if (caller < guest_.vcpus()) {
      At(scene_.now + cost, Actor::kVcpu, caller);
    } else {
      At(scene_.now + cost + scene_.UpTo(config_.scheduling.wake_latency), Actor::kEarlyZap);
    }
  }
  if (++polls_ % kCheckTableEvery == 0) CheckTable();
  AfterPoll(destination_thread_, Actor::kDestinationThread, progress, cost);
}

void World::RunVcpu(std::size_t vcpu) {
  if (guest_.Run(vcpu)) At(scene_.now + 1 + scene_.UpTo(config_.guest.think), Actor::kVcpu, vcpu);
}

void World::Handle(const Event& event) {
  const bool of_source =
      event.actor == Actor::kSourceThread || event.actor == Actor::kPrePageRound || event.actor == Actor::kStartPush;
  if (of_source && source_thread_.polling) return deferred_.push_back(event);
  switch (event.actor) {
    case Actor::kSourceThread:
      if (event.index == source_thread_.sleep) {
        source_thread_.asleep = false;
        PollSource();
      }
      break;
    case Actor::kDestinationThread:
      if (event.index == destination_thread_.sleep) {
        destination_thread_.asleep = false;
        PollDestination();
      }
      break;
    case Actor::kVcpu:
      RunVcpu(event.index);
      break;
    case Actor::kSourceWrite:
      if (guest_stopped_) break;
      guest_.WriteAtSource();
      At(scene_.now + 1 + scene_.UpTo(config_.guest.source_write_every), Actor::kSourceWrite);
      break;
    case Actor::kPrePageRound:
      PrePageRound();
      break;
    case Actor::kAllowActivation:
      AllowActivation();
      break;
    case Actor::kStartPush:
      // What is stale goes first in the push, so it is no hole, even if it has been discarded since.
      source_.engine().StartPush(WithoutHoles(guest_.Holes(), dirty_));
      break;
    case Actor::kFetchRest:
      destination_.engine().FetchRest();
      Wake(destination_thread_, Actor::kDestinationThread);
      break;
    case Actor::kReclaim:
      kernel_.ReclaimOne();
      At(scene_.now + 1 + scene_.UpTo(config_.kernel.reclaim_every), Actor::kReclaim);
      break;
    case Actor::kEarlyDiscard:
      EarlyDiscard();
      break;
    case Actor::kEarlyZap:
      EarlyZap();
      break;
  }
  WatchPhases();
}

}  // namespace farfault::sim
