#ifndef FARFAULT_BENCH_ENGINE_REMOTE_MOVE_H_
#define FARFAULT_BENCH_ENGINE_REMOTE_MOVE_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/engine/source_host.h"
#include "farfault/farfault.h"

namespace farfault::bench {

/// How this process takes the guest over.
struct TargetSpec {
  std::string listen = "tcp://127.0.0.1:0";
  absl::Duration spin = DestinationOptions{}.spin;
};

/// One move of a guest from a SourceHost to this process.
class RemoteMove {
 public:
  /// Fresh memory here, a session, everything prepared and, if asked for, pre-paged.
  static absl::StatusOr<std::unique_ptr<RemoteMove>> Prepare(SourceHost& source, const std::vector<RegionSpec>& regions,
                                                             const MoveSpec& spec, const TargetSpec& target = {});
  RemoteMove(const RemoteMove&) = delete;
  RemoteMove& operator=(const RemoteMove&) = delete;

  /// From the moment the guest is stopped at the source until it may run here. The destination waits for it already, as
  /// it does in a migration.
  absl::Status SwitchOver();
  std::int64_t stopped_at() const { return stopped_at_; }  ///< On CLOCK_MONOTONIC.
  std::int64_t downtime_ns() const { return downtime_ns_; }

  absl::Status WaitUntilResident() { return destination_->WaitUntilResident(absl::Minutes(2)); }
  /// Ends the session on both sides. `drain`: it became resident.
  absl::Status End(bool drain);

  std::span<const std::byte> memory(std::size_t region) const { return memory_[region].bytes(); }
  SessionStats Stats() const { return destination_->Stats(); }
  /// After End.
  double source_metadata_per_page() const { return source_metadata_per_page_; }

 private:
  explicit RemoteMove(SourceHost& source) : source_(source) {}
  absl::StatusOr<GuestMemory> CreateMemory(const std::vector<RegionSpec>& regions);

  SourceHost& source_;
  std::vector<OwnedRegion> memory_;
  std::unique_ptr<DestinationSession> destination_;
  std::int64_t stopped_at_ = 0;
  std::int64_t downtime_ns_ = 0;
  double source_metadata_per_page_ = 0;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_REMOTE_MOVE_H_
