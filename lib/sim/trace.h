#ifndef FARFAULT_LIB_SIM_TRACE_H_
#define FARFAULT_LIB_SIM_TRACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/util/clock.h"

namespace farfault::sim {

/// The last things that happened in a world, and a hash of all of them.
class Trace {
 public:
  struct Entry {
    Nanos at = 0;
    std::string_view what;  ///< A literal.
    std::uint64_t first = 0;
    std::uint64_t second = 0;
  };

  void Add(Nanos at, std::string_view what, std::uint64_t first = 0, std::uint64_t second = 0) {
    entries_[count_++ % kKept] = {at, what, first, second};
    for (const std::uint64_t word : {static_cast<std::uint64_t>(at), first, second, std::uint64_t{what.size()}}) {
      hash_ = (hash_ ^ word) * 0x100000001b3u;
    }
    if (echo_) Print(entries_[(count_ - 1) % kKept]);
  }
  /// Print everything as it happens.
  void set_echo(bool echo) { echo_ = echo; }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t count() const { return count_; }
  /// The last lines, oldest first.
  std::string Tail() const;

 private:
  static constexpr std::size_t kKept = 64;
  static std::string Line(const Entry& entry);
  static void Print(const Entry& entry);

  std::array<Entry, kKept> entries_;
  std::uint64_t count_ = 0;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
  bool echo_ = false;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_TRACE_H_
