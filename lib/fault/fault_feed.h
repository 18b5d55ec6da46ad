#ifndef FARFAULT_LIB_FAULT_FAULT_FEED_H_
#define FARFAULT_LIB_FAULT_FAULT_FEED_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "farfault/page.h"

namespace farfault {

enum class FeedEventKind : std::uint8_t {
  kFault,    ///< A thread of the guest waits for `run.first`.
  kDiscard,  ///< The guest gave `run` back to the kernel; from now on it reads as zeros.
};

struct FeedEvent {
  FeedEventKind kind = FeedEventKind::kFault;
  bool write = false;
  PageRun run;
};

enum class FeedStatus : std::uint8_t {
  kOk,
  kGuestGone,  ///< The process that lived in the memory has exited.
  kFailed,     ///< Reading faults is impossible; see the feed's own status.
};

struct FeedResult {
  FeedStatus status = FeedStatus::kOk;
  std::size_t events = 0;
};

/// Where the destination engine hears of faults. Implementations: userfaultfd in fault/, the simulated guest in
/// sim/. One thread.
class FaultFeed {
 public:
  virtual ~FaultFeed() = default;
  /// Moves what is waiting to `out`, at most out.size() events, in the order in which the kernel reported them. Never
  /// blocks, never allocates.
  virtual FeedResult Drain(std::span<FeedEvent> out) = 0;
  /// Why Drain said kFailed.
  virtual absl::Status status() const { return absl::OkStatus(); }
};

}  // namespace farfault

#endif  // FARFAULT_LIB_FAULT_FAULT_FEED_H_
