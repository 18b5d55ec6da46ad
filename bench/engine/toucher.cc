#include "bench/engine/toucher.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

#include "bench/engine/image.h"
#include "farfault/guest_memory.h"

namespace farfault::bench {

Toucher::Toucher(std::span<const std::byte> memory, std::uint64_t seed, bool check)
    : memory_(memory), check_(check), order_(memory.size() / kSmallPage) {
  std::iota(order_.begin(), order_.end(), PageIndex{0});
  std::shuffle(order_.begin(), order_.end(), std::mt19937_64(seed));
  times_.reserve(order_.size());
}

std::size_t Toucher::Touch(std::size_t pages) {
  using Clock = std::chrono::steady_clock;
  const std::size_t count = std::min(pages, left());
  for (std::size_t i = 0; i < count; ++i) {
    const PageIndex page = order_[next_++];
    const auto* word = reinterpret_cast<const volatile std::uint64_t*>(memory_.data() + page * kSmallPage);
    const auto before = Clock::now();
    const std::uint64_t value = *word;
    const auto after = Clock::now();
    times_.push_back(std::chrono::duration<double, std::nano>(after - before).count());
    if (check_ && value != ImageWord(page)) ++wrong_pages_;
  }
  return count;
}

}  // namespace farfault::bench
