#include "bench/engine/forked_peer.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

namespace farfault::bench {

absl::Status ProcessLine::SendBytes(std::span<const std::byte> bytes) {
  // SOCK_SEQPACKET: all of it or nothing.
  if (send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, "telling the other process");
}

absl::Status ProcessLine::ReceiveBytes(std::span<std::byte> bytes, absl::Duration timeout) {
  pollfd waiting{socket_.get(), POLLIN, 0};
  const int ready = poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
  if (ready < 0) return absl::ErrnoToStatus(errno, "waiting for the other process");
  if (ready == 0) {
    return absl::DeadlineExceededError(
        fmt::format("the other process has said nothing for {}", absl::FormatDuration(timeout)));
  }
  const ssize_t received = recv(socket_.get(), bytes.data(), bytes.size(), MSG_TRUNC);
  if (received == static_cast<ssize_t>(bytes.size())) return absl::OkStatus();
  if (received <= 0) return absl::UnavailableError("the other process has ended");
  return absl::InternalError(fmt::format("the other process sent {} bytes, not {}", received, bytes.size()));
}

absl::StatusOr<ForkedPeer> ForkedPeer::Start(const std::function<void(ProcessLine&)>& body) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return absl::ErrnoToStatus(errno, "socketpair");
  }
  ProcessLine parent_line{UniqueFd(ends[0])};
  ProcessLine child_line{UniqueFd(ends[1])};
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return absl::ErrnoToStatus(errno, "fork");
  if (child > 0) return ForkedPeer(child, std::move(parent_line));
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // It died before it could take us along.
  parent_line = ProcessLine(UniqueFd());
  body(child_line);
  _exit(0);
}

ForkedPeer::~ForkedPeer() {
  if (child_ < 0) return;
  kill(child_, SIGKILL);
  while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace farfault::bench
