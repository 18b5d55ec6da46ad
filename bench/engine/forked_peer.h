#ifndef FARFAULT_BENCH_ENGINE_FORKED_PEER_H_
#define FARFAULT_BENCH_ENGINE_FORKED_PEER_H_

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <span>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/util/unique_fd.h"

namespace farfault::bench {

/// One end of a line between this process and its child. Carries plain structs. One thread per direction.
class ProcessLine {
 public:
  explicit ProcessLine(UniqueFd socket) : socket_(std::move(socket)) {}

  template <typename T>
  absl::Status Send(const T& message) {
    static_assert(std::is_trivially_copyable_v<T>);
    return SendBytes(std::as_bytes(std::span(&message, 1)));
  }

  /// kUnavailable when the other process has ended, kDeadlineExceeded, kInternal when it said something else.
  template <typename T>
  absl::StatusOr<T> Receive(absl::Duration timeout = absl::Minutes(5)) {
    static_assert(std::is_trivially_copyable_v<T>);
    T message;
    absl::Status status = ReceiveBytes(std::as_writable_bytes(std::span(&message, 1)), timeout);
    if (!status.ok()) return status;
    return message;
  }

 private:
  absl::Status SendBytes(std::span<const std::byte> bytes);
  absl::Status ReceiveBytes(std::span<std::byte> bytes, absl::Duration timeout);

  UniqueFd socket_;
};

/// A child process that plays the other host: its own address space, its own page tables, its own locks. It ends with
/// this object, and with this process.
class ForkedPeer {
 public:
  /// Forks; the child runs `body` and exits. Call it while this process has no other threads.
  static absl::StatusOr<ForkedPeer> Start(const std::function<void(ProcessLine&)>& body);
  ForkedPeer(ForkedPeer&& other) noexcept : child_(std::exchange(other.child_, -1)), line_(std::move(other.line_)) {}
  ForkedPeer& operator=(ForkedPeer&&) = delete;
  ~ForkedPeer();

  ProcessLine& line() { return line_; }
  pid_t pid() const { return child_; }

 private:
  ForkedPeer(pid_t child, ProcessLine line) : child_(child), line_(std::move(line)) {}

  pid_t child_;
  ProcessLine line_;
};

}  // namespace farfault::bench

#endif  // FARFAULT_BENCH_ENGINE_FORKED_PEER_H_
