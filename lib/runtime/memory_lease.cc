#include "lib/runtime/memory_lease.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "lib/util/mutex.h"

namespace farfault {
namespace {

struct Leased {
  std::uint64_t number = 0;
  pid_t process = 0;  // 0: this one, or an unknown one.
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::vector<Leased> PartsOf(const GuestMemory& memory, std::size_t region, std::uint64_t number) {
  std::vector<Leased> parts;
  const pid_t process = memory.external() == nullptr ? 0 : memory.external()->pid;
  for (const GuestMapping& mapping : memory.mappings_of(region)) {
    parts.push_back({number, process, mapping.address, mapping.address + mapping.length});
  }
  return parts;
}

class Leases {
 public:
  absl::StatusOr<std::uint64_t> Take(const GuestMemory& memory) {
    const MutexLock lock(&mutex_);
    // What lies in another process that is not known cannot be told apart.
    const bool unknown = memory.external() != nullptr && memory.external()->pid == 0;
    for (std::size_t i = 0; i < memory.regions().size() && !unknown; ++i) {
      for (const Leased& part : PartsOf(memory, i, 0)) {
        const bool taken = std::any_of(leased_.begin(), leased_.end(), [&part](const Leased& leased) {
          return leased.process == part.process && part.begin < leased.end && leased.begin < part.end;
        });
        if (!taken) continue;
        return absl::FailedPreconditionError(
            fmt::format("region '{}' is in use by another session of this process; end that session first",
                        memory.regions()[i].name));
      }
    }
    ++last_number_;
    for (std::size_t i = 0; i < memory.regions().size() && !unknown; ++i) {
      for (const Leased& part : PartsOf(memory, i, last_number_)) leased_.push_back(part);
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
