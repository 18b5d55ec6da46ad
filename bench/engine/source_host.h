#ifndef FARFAULT_BENCH_ENGINE_SOURCE_HOST_H_
#define FARFAULT_BENCH_ENGINE_SOURCE_HOST_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/baseline/socket_copy.h"
#include "bench/engine/forked_peer.h"

namespace farfault::bench {

/// One region of the guest.
struct RegionSpec {
  std::string name;
  std::uint64_t bytes = 0;
};

/// How the source shall move its guest.
struct MoveSpec {
  bool push = true;
  std::array<char, 64> predictor{};  ///< Empty: the default.
  /// Send everything before the switchover, and then write so many pages again, spread evenly.
  bool prepage = false;
  std::uint64_t dirty_pages = 0;
};

/// The source of the moves that are measured: a process of its own whose memory holds the image, populated once and
/// used again and again. Calls wait for the process; one thread.
class SourceHost {
 public:
  static absl::StatusOr<std::unique_ptr<SourceHost>> Start(const std::vector<RegionSpec>& regions);

  /// Meets the destination that listens on `address`. Returns at once; WaitUntilReady waits for the outcome.
  absl::Status BeginMove(const std::string& address, const MoveSpec& spec);
  /// The destination is prepared, and what is to be pre-paged has been.
  absl::Status WaitUntilReady();
  /// Stops the guest and hands it over. Returns at once; WaitUntilSwitchedOver waits for the outcome and returns when,
  /// on CLOCK_MONOTONIC, the guest stopped.
  absl::Status BeginSwitchOver();
  absl::StatusOr<std::int64_t> WaitUntilSwitchedOver();
  /// Ends the session, drained or not, and returns how many bytes it kept per page.
  absl::StatusOr<double> EndMove(bool drain);

  /// Sends the first `bytes` of the first region to whoever listens on `port`, plainly. Returns at once; the receiver
  /// knows when it is over, and WaitUntilCopied tells errors.
  absl::Status BeginPlainCopy(std::uint16_t port, std::uint64_t bytes, const SocketCopyShape& shape);
  absl::Status WaitUntilCopied();

  pid_t pid() const { return peer_.pid(); }

 private:
  explicit SourceHost(ForkedPeer peer) : peer_(std::move(peer)) {}
  absl::StatusOr<std::int64_t> WaitForOutcome();

  ForkedPeer peer_;
};

/// Nanoseconds on CLOCK_MONOTONIC, which all processes of a host share.
std::int64_t MonotonicNanos();

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_SOURCE_HOST_H_
