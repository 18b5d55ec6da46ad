#include "lib/sim/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace farfault::sim {

std::string Trace::Line(const Entry& entry) {
  return fmt::format("{:>12} ns  {:<24} {:>8} {:>8}\n", entry.at, entry.what, entry.first, entry.second);
}

void Trace::Print(const Entry& entry) { fmt::print(stderr, "{}", Line(entry)); }

std::string Trace::Tail() const {
  std::string lines;
  for (std::uint64_t i = count_ - std::min<std::uint64_t>(count_, kKept); i < count_; ++i) {
    lines += Line(entries_[i % kKept]);
  }
  return lines;
}

}  // namespace farfault::sim
