#ifndef FARFAULT_LIB_TRANSPORT_TCP_CALL_SIZE_H_
#define FARFAULT_LIB_TRANSPORT_TCP_CALL_SIZE_H_

#include <atomic>
#include <cstdint>
#include <thread>

namespace farfault {

/// Requests on urgent channels of this process, served or posted: processors are shared by all transports and sessions.
class UrgentRequests {
 public:
  static void Note() { count_.fetch_add(1, std::memory_order_relaxed); }
  static std::uint64_t count() { return count_.load(std::memory_order_relaxed); }

 private:
  static inline std::atomic<std::uint64_t> count_ = 0;
};

/// After a call that was cut short: a thread that an urgent request has woken need not wait until this one's time slice
/// ends. Nothing happens where a processor is free.
inline void GiveWay() { std::this_thread::yield(); }

/// How much one system call may copy. Large copies make a push fast, but a kernel that is not fully preemptible lets
/// everybody else wait until one ends; so they are cut short while there are urgent requests. One thread at a time.
class CallSize {
 public:
  static constexpr std::uint64_t kCalm = 1u << 20;
  static constexpr std::uint64_t kUrgent = 128u << 10;
  /// After an urgent request so many calls are short, which is a few milliseconds.
  static constexpr std::uint32_t kShortCalls = 64;

  std::uint64_t Next() {
    if (const std::uint64_t seen = UrgentRequests::count(); seen != seen_) {
      seen_ = seen;
      short_calls_ = kShortCalls;
    }
    if (short_calls_ == 0) return kCalm;
    --short_calls_;
    return kUrgent;
  }

 private:
  std::uint64_t seen_ = 0;
  std::uint32_t short_calls_ = 0;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_CALL_SIZE_H_
