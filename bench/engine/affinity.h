#ifndef FARFAULT_BENCH_ENGINE_AFFINITY_H_
#define FARFAULT_BENCH_ENGINE_AFFINITY_H_

#include <sched.h>

#include <cstddef>

namespace farfault::bench {

/// Keeps the calling thread, and the threads it starts meanwhile, on one CPU: number `index` of those that this process
/// may use, counted round. On a machine with one CPU, or where the kernel does not allow it, nothing happens: then both
/// sides of a comparison go unpinned.
class ScopedAffinity {
 public:
  explicit ScopedAffinity(int index) {
    if (sched_getaffinity(0, sizeof(before_), &before_) != 0) return;
    const int count = CPU_COUNT(&before_);
    if (count < 2) return;
    index %= count;
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &before_) && index-- == 0) CPU_SET(cpu, &one);
    }
    pinned_ = sched_setaffinity(0, sizeof(one), &one) == 0;
  }
  ~ScopedAffinity() {
    if (pinned_) static_cast<void>(sched_setaffinity(0, sizeof(before_), &before_));
  }
  ScopedAffinity(const ScopedAffinity&) = delete;
  ScopedAffinity& operator=(const ScopedAffinity&) = delete;

 private:
  cpu_set_t before_{};
  bool pinned_ = false;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_AFFINITY_H_
