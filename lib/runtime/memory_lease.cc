#include "lib/runtime/memory_lease.h"

#include <fmt/format.h>

#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/util/mutex.h"

namespace farfault {
namespace {

struct Leased {
  std::uint64_t number = 0;
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
};

class Leases {
 public:
  absl::StatusOr<std::uint64_t> Take(const GuestMemory& memory) {
    const MutexLock lock(&mutex_);
    for (const Region& region : memory.regions()) {
      for (const Leased& leased : leased_) {
        if (region.base < leased.end && leased.begin < region.base + region.length) {
          return absl::FailedPreconditionError(fmt::format(
              "region '{}' is in use by another session of this process; end that session first", region.name));
        }
      }
    }
    ++last_number_;
    for (const Region& region : memory.regions()) {
      leased_.push_back({last_number_, region.base, region.base + region.length});
    }
    return last_number_;
  }

  void Release(std::uint64_t number) {
    const MutexLock lock(&mutex_);
    std::erase_if(leased_, [number](const Leased& leased) { return leased.number == number; });
  }

 private:
  Mutex mutex_;
  std::uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Leased> leased_ ABSL_GUARDED_BY(mutex_);
};

Leases& AllLeases() {
  static auto& leases = *new Leases;  // Outlives sessions that end during static destruction.
  return leases;
}

}  // namespace

absl::StatusOr<MemoryLease> MemoryLease::Take(const GuestMemory& memory) {
  const absl::StatusOr<std::uint64_t> number = AllLeases().Take(memory);
  if (!number.ok()) return number.status();
  return MemoryLease(*number);
}

MemoryLease& MemoryLease::operator=(MemoryLease&& other) noexcept {
  if (this != &other) {
    Release();
    number_ = std::exchange(other.number_, 0);
  }
  return *this;
}

void MemoryLease::Release() {
  if (number_ != 0) AllLeases().Release(std::exchange(number_, 0));
}

}  // namespace farfault
