#include "lib/transport/sim/fault_script.h"

namespace farfault::sim {

void FaultScript::Add(const SimFault& fault) {
  const MutexLock lock(&mutex_);
  entries_.push_back({fault});
  active_.store(true, std::memory_order_release);
}

bool FaultScript::OnPost(std::string_view channel, std::uint64_t count, Nanos now) {
  const MutexLock lock(&mutex_);
  bool broken = false;
  for (Entry& entry : entries_) {
    if (entry.fault.channel.empty() || entry.fault.channel == channel) entry.requests += count;
    if (entry.fault.kind != SimFault::Kind::kBreak || !entry.Due(channel, now)) continue;
    // One that is for all channels goes on until all are hit.
    entry.spent = !entry.fault.channel.empty();
    broken = true;
  }
  return broken;
}

Nanos FaultScript::Delay(std::string_view channel, Nanos now) const {
  const MutexLock lock(&mutex_);
  Nanos delay = 0;
  for (const Entry& entry : entries_) {
    const bool meant = entry.fault.kind == SimFault::Kind::kDelay && entry.Due(channel, now);
    if (meant && now < entry.fault.at + entry.fault.duration) delay += entry.fault.delay;
  }
  return delay;
}

bool FaultScript::TakeRefusal(std::string_view channel, Nanos now) {
  const MutexLock lock(&mutex_);
  for (Entry& entry : entries_) {
    if (entry.fault.kind != SimFault::Kind::kRefuseConnect || !entry.Due(channel, now)) continue;
    entry.spent = true;
    return true;
  }
  return false;
}

}  // namespace farfault::sim
