#ifndef FARFAULT_LIB_CLI_PAGER_PAGE_REQUESTS_H_
#define FARFAULT_LIB_CLI_PAGER_PAGE_REQUESTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/cli/pager/cloud_hypervisor.h"
#include "lib/util/mutex.h"
#include "lib/util/unique_fd.h"

namespace farfault::cloud_hypervisor {

/// Answers a Cloud Hypervisor that asks for pages: touches them in this process's mapping of the memory file, which is
/// armed, so that they are in the file when the touch returns. Serve and HangUp belong to the owner's thread; the rest
/// to any.
class PageRequests {
 public:
  /// `memory` is the file from its beginning, armed by a session, and outlives this object.
  PageRequests(std::vector<Slot> slots, std::span<std::byte> memory) : slots_(std::move(slots)), memory_(memory) {}
  ~PageRequests() { HangUp(absl::InfiniteDuration()); }

  /// Begins to answer, on a thread of its own.
  void Serve(UniqueFd connection);
  /// Cloud Hypervisor has hung up, or said something that makes no sense.
  bool ended() const { return ended_; }
  /// Why, when it has.
  absl::Status end() const;
  std::uint64_t answered() const { return answered_; }
  /// Ends the thread. False: it still waits for a page.
  bool HangUp(absl::Duration patience);

 private:
  void Run();
  absl::Status AnswerOne(bool* goodbye);
  absl::Status Touch(const MemoryRange& range) const;

  const std::vector<Slot> slots_;
  const std::span<std::byte> memory_;
  UniqueFd connection_;
  std::thread thread_;
  std::atomic<bool> ended_ = false;
  std::atomic<std::uint64_t> answered_ = 0;
  mutable Mutex mutex_;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace farfault::cloud_hypervisor

#endif  // FARFAULT_LIB_CLI_PAGER_PAGE_REQUESTS_H_
