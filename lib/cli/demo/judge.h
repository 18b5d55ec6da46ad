#ifndef FARFAULT_LIB_CLI_DEMO_JUDGE_H_
#define FARFAULT_LIB_CLI_DEMO_JUDGE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/cli/demo/plan.h"
#include "lib/cli/workload/ledger.h"
#include "lib/cli/workload/timeline.h"

namespace farfault {

/// What the demo's processes share besides the connection under test: ledgers, page digests, timelines. The guest's
/// memory is not in it. A memfd; move-only.
class Judge {
 public:
  /// A destination looks at the ledger copy-on-write: the source's stays as it was at the switchover.
  enum class View : std::uint8_t { kSource, kDestination };
  enum class Side : std::uint8_t { kSource, kDestination };

  static constexpr std::size_t kSlices = 60'000;

  static absl::StatusOr<Judge> Create(const GuestPlan& plan);
  static absl::StatusOr<Judge> Open(int fd, const GuestPlan& plan, View view);

  Judge(Judge&& other) noexcept;
  Judge& operator=(Judge&& other) noexcept;
  ~Judge();

  int fd() const { return fd_; }

  Ledger ledger(std::size_t shard) const;
  std::span<std::uint64_t> page_digests() const;
  /// All ledgers.
  std::span<std::byte> ledger_bytes() const;
  Timeline timeline(Side side, std::size_t thread) const;

  /// Slices begin to be counted anew, from now on. Nobody counts meanwhile.
  void RestartTimelines();
  std::int64_t epoch() const { return epoch_ptr()->load(); }
  /// Operations per slice since the epoch, summed over the threads; up to the last slice that is not empty.
  std::vector<std::uint64_t> OperationsPerSlice(Side side) const;

 private:
  struct Sections {
    std::uint64_t ledger = 0;
    std::uint64_t digests = 0;
    std::uint64_t timelines = 0;
    std::uint64_t end = 0;
  };

  Judge() = default;
  static Sections SectionsOf(const GuestPlan& plan);
  std::atomic<std::int64_t>* epoch_ptr() const { return reinterpret_cast<std::atomic<std::int64_t>*>(base_); }

  GuestPlan plan_;
  Sections sections_;
  int fd_ = -1;
  std::byte* base_ = nullptr;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_JUDGE_H_
