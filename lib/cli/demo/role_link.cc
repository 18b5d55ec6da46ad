#include "lib/cli/demo/role_link.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "lib/util/deadline.h"

namespace farfault {

absl::StatusOr<std::pair<std::unique_ptr<RoleLink>, std::unique_ptr<RoleLink>>> RoleLink::CreatePair() {
  std::array<int, 2> fds{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    return absl::InternalError(fmt::format("socketpair failed: {}", std::strerror(errno)));
  }
  return std::pair(std::make_unique<RoleLink>(fds[0]), std::make_unique<RoleLink>(fds[1]));
}

RoleLink::~RoleLink() {
  if (fd_ >= 0) close(fd_);
}

absl::Status RoleLink::Send(std::string_view kind, nlohmann::json body) {
  body["kind"] = kind;
  const std::string line = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  MutexLock lock(&mutex_);
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t took = send(fd_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (took < 0 && errno == EINTR) continue;
    if (took < 0) return absl::UnavailableError(fmt::format("the other process is gone: {}", std::strerror(errno)));
    sent += static_cast<std::size_t>(took);
  }
  return absl::OkStatus();
}

absl::StatusOr<nlohmann::json> RoleLink::Receive(Deadline deadline) {
  for (;;) {
    if (const std::size_t end = received_.find('\n'); end != std::string::npos) {
      nlohmann::json object = nlohmann::json::parse(received_.substr(0, end), nullptr, /*allow_exceptions=*/false);
      received_.erase(0, end + 1);
      if (!object.is_object() || !object.contains("kind")) {
        return absl::FailedPreconditionError(
            "what is at the other end is not `farfault demo`, or not of this version: check the port, and run the same "
            "farfault on both hosts");
      }
      return object;
    }
    // Bounded before it is a number: there may be no deadline at all.
    const absl::Duration left = std::clamp(deadline.Left(), absl::ZeroDuration(), absl::Minutes(1));
    pollfd waiting{fd_, POLLIN, 0};
    const int ready = poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready < 0 && errno != EINTR) return absl::InternalError(fmt::format("poll failed: {}", std::strerror(errno)));
    if (ready <= 0) {
      if (deadline.Passed()) return absl::DeadlineExceededError("nothing was heard in time");
      continue;
    }
    std::array<char, 4096> buffer;
    const ssize_t got = read(fd_, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return absl::UnavailableError("the other process is gone");
    received_.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace farfault
