#ifndef FARFAULT_BENCH_BASELINE_BARE_FAULT_LOOP_H_
#define FARFAULT_BENCH_BASELINE_BARE_FAULT_LOOP_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "lib/util/unique_fd.h"

namespace farfault::bench {

/// The floor under every fault handler: a thread that reads one fault after the other from userfaultfd and answers each
/// with UFFDIO_CONTINUE for its page, nothing else. No tables, no transport, no library code. The memory is what a
/// direct destination has: a shared file that has been populated through a second mapping.
///
/// With a `Fetch`, it fetches the page first: then it is the floor under a handler whose pages come from elsewhere.
///
/// The thread spins for `spin` after the last fault and then sleeps in poll(), as the pager does.
class BareFaultLoop {
 public:
  /// Brings the bytes of the page at this offset of the region. Called by the loop's thread.
  using Fetch = std::function<void(std::uint64_t offset)>;

  /// Populates `region` (shared memory of small pages) and arms it.
  static absl::StatusOr<std::unique_ptr<BareFaultLoop>> Start(const Region& region, std::chrono::nanoseconds spin,
                                                              Fetch fetch = {});
  ~BareFaultLoop();
  BareFaultLoop(const BareFaultLoop&) = delete;
  BareFaultLoop& operator=(const BareFaultLoop&) = delete;

 private:
  BareFaultLoop(UniqueFd faults, UniqueFd stop, std::chrono::nanoseconds spin, std::uint64_t base, Fetch fetch);
  void Run();
  bool AnswerWaiting();

  UniqueFd faults_;
  UniqueFd stop_;
  std::chrono::nanoseconds spin_;
  std::uint64_t base_;
  Fetch fetch_;
  std::thread thread_;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_BASELINE_BARE_FAULT_LOOP_H_
