#ifndef FARFAULT_BENCH_ENGINE_LOCAL_MOVE_H_
#define FARFAULT_BENCH_ENGINE_LOCAL_MOVE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/farfault.h"

namespace farfault::bench {

/// A guest that has been handed over inside this process, over a `sim` fabric that takes no time: what remains of a
/// fault is farfault itself. Nothing is pushed; each page moves when it is touched.
class LocalMove {
 public:
  /// `spin` is the destination's option of that name. Threads start with the caller's CPU affinity.
  static absl::StatusOr<std::unique_ptr<LocalMove>> Start(std::uint64_t pages, absl::Duration spin);
  LocalMove(const LocalMove&) = delete;
  LocalMove& operator=(const LocalMove&) = delete;

  /// The guest's memory at the destination.
  std::span<const std::byte> memory() const { return destination_memory_.bytes(); }
  SessionStats Stats() const { return destination_->Stats(); }

 private:
  LocalMove() = default;

  // In this order: sessions end before the memory goes.
  OwnedRegion source_memory_;
  OwnedRegion destination_memory_;
  std::unique_ptr<SourceSession> source_;
  std::unique_ptr<DestinationSession> destination_;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_LOCAL_MOVE_H_
