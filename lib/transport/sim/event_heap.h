#ifndef FARFAULT_LIB_TRANSPORT_SIM_EVENT_HEAP_H_
#define FARFAULT_LIB_TRANSPORT_SIM_EVENT_HEAP_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "lib/util/clock.h"

namespace farfault::sim {

inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

/// What is to happen when. `Event` is small and copied. Equal times come in the order of `tie`, then of insertion.
template <typename Event>
class EventHeap {
 public:
  void Push(Nanos at, std::uint64_t tie, const Event& event) {
    entries_.push_back({at, tie, ++inserted_, event});
    std::push_heap(entries_.begin(), entries_.end(), Later);
  }
  Nanos next() const { return entries_.empty() ? kNever : entries_.front().at; }
  bool empty() const { return entries_.empty(); }
  Event Pop() {
    std::pop_heap(entries_.begin(), entries_.end(), Later);
    const Event event = entries_.back().event;
    entries_.pop_back();
    return event;
  }

 private:
  struct Entry {
    Nanos at = 0;
    std::uint64_t tie = 0;
    std::uint64_t number = 0;
    Event event;
  };
  static bool Later(const Entry& a, const Entry& b) {
    if (a.at != b.at) return a.at > b.at;
    if (a.tie != b.tie) return a.tie > b.tie;
    return a.number > b.number;
  }

  std::vector<Entry> entries_;
  std::uint64_t inserted_ = 0;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_EVENT_HEAP_H_
