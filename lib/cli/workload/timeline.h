#ifndef FARFAULT_LIB_CLI_WORKLOAD_TIMELINE_H_
#define FARFAULT_LIB_CLI_WORKLOAD_TIMELINE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>

namespace farfault {

/// CLOCK_MONOTONIC in nanoseconds: the same clock in all processes of a machine.
inline std::int64_t MonotonicNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Operations that one thread finished, counted per slice of time, in memory that others read meanwhile. What happens
/// before the epoch or after the last slice is not counted. Does not own its memory.
class Timeline {
 public:
  static constexpr std::int64_t kSlice = 10'000'000;

  Timeline() = default;
  Timeline(const std::atomic<std::int64_t>* epoch, std::span<std::atomic<std::uint32_t>> slices)
      : epoch_(epoch), slices_(slices) {}

  void Count(std::int64_t now) {
    const std::int64_t since = now - (epoch_ == nullptr ? now : epoch_->load(std::memory_order_relaxed));
    const std::size_t slice = static_cast<std::size_t>(since / kSlice);
    if (since < 0 || slice >= slices_.size()) return;
    // One writer: no read-modify-write needed.
    slices_[slice].store(slices_[slice].load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  std::span<std::atomic<std::uint32_t>> slices() const { return slices_; }

 private:
  const std::atomic<std::int64_t>* epoch_ = nullptr;
  std::span<std::atomic<std::uint32_t>> slices_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_WORKLOAD_TIMELINE_H_
