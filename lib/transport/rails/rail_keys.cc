#include "lib/transport/rails/rail_keys.h"

#include <fmt/format.h>
#include <sys/random.h>

namespace farfault {

void RailKeyTable::Set(const RailKeys& keys) {
  Entry& entry = EntryOf(keys.key);
  entry.key.store(0, std::memory_order_release);
  for (std::size_t rail = 0; rail < kMaxRails; ++rail) {
    entry.on_rail[rail].store(keys.on_rail[rail], std::memory_order_relaxed);
  }
  entry.key.store(keys.key, std::memory_order_release);
}

absl::StatusOr<std::uint32_t> RailKeyBook::Add(const Registration& registration) {
  const MutexLock lock(&mutex_);
  if (registrations_ == kMostRegistrations) {
    return absl::ResourceExhaustedError(
        fmt::format("{} ranges of memory are registered already, which is the most; register fewer and larger ranges",
                    kMostRegistrations));
  }
  std::uint32_t key = 0;
  while (key == 0 || !own_.IsFree(key)) {
    if (getrandom(&key, sizeof(key), 0) != sizeof(key)) {
      return absl::InternalError("the kernel gives no random bytes (getrandom), which keys are made of");
    }
  }
  own_.Set({key, registration.local});
  ++registrations_;
  if (registration.open) {
    open_.emplace(++opened_, RailKeys{key, registration.remote});
    opened_at_.emplace(key, opened_);
  }
  return key;
}

void RailKeyBook::Remove(std::uint32_t key) {
  const MutexLock lock(&mutex_);
  own_.Clear(key);
  --registrations_;
  const auto opened = opened_at_.find(key);
  if (opened == opened_at_.end()) return;
  open_.erase(opened->second);
  opened_at_.erase(opened);
}

std::vector<RailKeys> RailKeyBook::Registered(std::uint64_t& since) const {
  std::vector<RailKeys> news;
  const MutexLock lock(&mutex_);
  for (auto it = open_.upper_bound(since); it != open_.end(); ++it) news.push_back(it->second);
  since = opened_;
  return news;
}

void RailKeyBook::Learn(std::span<const RailKeys> keys) {
  const MutexLock lock(&mutex_);
  for (const RailKeys& entry : keys) {
    if (entry.key != 0) peers_.Set(entry);
  }
}

}  // namespace farfault
