#ifndef FARFAULT_BENCH_ENGINE_TOUCHER_H_
#define FARFAULT_BENCH_ENGINE_TOUCHER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "farfault/page.h"

namespace farfault::bench {

/// Stands for a guest's thread: touches one page after the other, on the calling thread, and takes the time of each
/// touch as the guest feels it, from the instruction before the access to the one after it.
class Toucher {
 public:
  /// Touches all pages of `memory`, in a random order that depends on `seed` only. With `check` the first word must be
  /// the image's.
  Toucher(std::span<const std::byte> memory, std::uint64_t seed, bool check);

  /// Touches the next `pages` pages, or what is left of them. Returns how many that were.
  std::size_t Touch(std::size_t pages);
  std::size_t left() const { return order_.size() - next_; }

  /// Nanoseconds per touch, in the order of the touches.
  std::span<const double> times() const { return times_; }
  /// Takes the last `touches` back: they do not count.
  void Forget(std::size_t touches) { times_.resize(times_.size() - touches); }
  std::uint64_t wrong_pages() const { return wrong_pages_; }

 private:
  std::span<const std::byte> memory_;
  bool check_;
  std::vector<PageIndex> order_;
  std::size_t next_ = 0;
  std::vector<double> times_;
  std::uint64_t wrong_pages_ = 0;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_TOUCHER_H_
