#ifndef FARFAULT_BENCH_BASELINE_SOCKET_COPY_H_
#define FARFAULT_BENCH_BASELINE_SOCKET_COPY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/util/unique_fd.h"

namespace farfault::bench {

/// How a plain copy uses its socket.
struct SocketCopyShape {
  std::size_t chunk_bytes = 1u << 20;  ///< Per send() and recv() call.
  int buffer_bytes = 0;                ///< SO_SNDBUF and SO_RCVBUF; 0 leaves the kernel's tuning alone.
};

/// Where the receiver waits for its sender.
class CopyListener {
 public:
  /// On loopback, any free port.
  static absl::StatusOr<CopyListener> Create(const SocketCopyShape& shape);
  std::uint16_t port() const { return port_; }
  absl::StatusOr<UniqueFd> Accept() const;

 private:
  CopyListener(UniqueFd socket, std::uint16_t port) : socket_(std::move(socket)), port_(port) {}

  UniqueFd socket_;
  std::uint16_t port_;
};

absl::StatusOr<UniqueFd> ConnectOverLoopback(std::uint16_t port, const SocketCopyShape& shape);

/// A loop of send() over all of `bytes`.
absl::Status SendAll(int socket, std::span<const std::byte> bytes, std::size_t chunk_bytes);

/// A loop of recv() straight into `bytes`, to its end.
absl::Status ReceiveAll(int socket, std::span<std::byte> bytes, std::size_t chunk_bytes);

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_BASELINE_SOCKET_COPY_H_
