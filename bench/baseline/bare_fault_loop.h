#ifndef FARFAULT_BENCH_BASELINE_BARE_FAULT_LOOP_H_
#define FARFAULT_BENCH_BASELINE_BARE_FAULT_LOOP_H_

#include <chrono>
#include <cstddef>
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
/// The thread spins for `spin` after the last fault and then sleeps in poll(), as the pager does.
class BareFaultLoop {
 public:
  /// Populates `region` (shared memory of small pages) and arms it.
  static absl::StatusOr<std::unique_ptr<BareFaultLoop>> Start(const Region& region, std::chrono::nanoseconds spin);
  ~BareFaultLoop();
  BareFaultLoop(const BareFaultLoop&) = delete;
  BareFaultLoop& operator=(const BareFaultLoop&) = delete;

 private:
  BareFaultLoop(UniqueFd faults, UniqueFd stop, std::chrono::nanoseconds spin);
  void Run();
  bool AnswerWaiting();

  UniqueFd faults_;
  UniqueFd stop_;
  std::chrono::nanoseconds spin_;
  std::thread thread_;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_BASELINE_BARE_FAULT_LOOP_H_
