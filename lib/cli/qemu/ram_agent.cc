#include "lib/cli/qemu/ram_agent.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace farfault {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxAnswer = 4096;

struct Answer {
  std::string text;
  std::vector<UniqueFd> descriptors;
};

absl::StatusOr<UniqueFd> Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return absl::InvalidArgumentError(
        fmt::format("the agent's socket '{}' is no path of a UNIX socket: 1 to {} bytes are "
                    "possible",
                    path, sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "a socket for the agent");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return absl::UnavailableError(
        fmt::format("no agent answers at {}: {}. Start the source's QEMU with libfarfault_qemu.so preloaded and "
                    "FARFAULT_AGENT={}, or leave the agent out, and with it pre-paging",
                    path, std::strerror(errno), path));
  }
  return fd;
}

void TakeDescriptors(msghdr& message, std::vector<UniqueFd>& descriptors) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
}

// The agent says one thing and hangs up.
absl::StatusOr<Answer> Receive(int socket, absl::Duration timeout) {
  Answer answer;
  for (;;) {
    pollfd entry{.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return absl::UnavailableError("the agent does not answer");
    std::array<char, kMaxAnswer> text;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control;
    iovec buffer{.iov_base = text.data(), .iov_len = text.size()};
    msghdr message{};
    message.msg_iov = &buffer;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (count < 0) {
      if (errno == EINTR) continue;
      return absl::UnavailableError(fmt::format("the agent is gone: {}", std::strerror(errno)));
    }
    TakeDescriptors(message, answer.descriptors);
    if (count == 0) return answer;
    answer.text.append(text.data(), static_cast<std::size_t>(count));
    if (answer.text.size() > kMaxAnswer || answer.descriptors.size() > 2) {
      return absl::InvalidArgumentError("the agent says more than an agent says");
    }
  }
}

bool Number(const json& object, const char* key, std::uint64_t& value) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return false;
  value = found->get<std::uint64_t>();
  return true;
}

absl::StatusOr<TrackedRam> Understand(Answer answer) {
  const json said = json::parse(answer.text, nullptr, false);
  if (said.is_object() && said.contains("error") && said["error"].is_string()) {
    return absl::PermissionDeniedError(fmt::format("the agent refuses: {}", said["error"].get<std::string>()));
  }
  std::uint64_t address = 0;
  std::uint64_t length = 0;
  std::uint64_t pid = 0;
  TrackedRam ram;
  if (!said.is_array() || said.size() != 1 || !said[0].is_object() || answer.descriptors.size() != 2 ||
      !Number(said[0], "base_host_virt_addr", address) || !Number(said[0], "size", length) ||
      !Number(said[0], "offset", ram.region.file_offset) || !Number(said[0], "page_size", ram.region.page_size) ||
      !Number(said[0], "uffd_features", ram.guest.features) || !Number(said[0], "pid", pid)) {
    return absl::InvalidArgumentError(
        fmt::format("what listens there is no agent of libfarfault_qemu.so: it says {:.80} with "
                    "{} descriptors",
                    answer.text, answer.descriptors.size()));
  }
  ram.userfaultfd = std::move(answer.descriptors[0]);
  ram.file = std::move(answer.descriptors[1]);
  ram.region.mappings = {{.address = address, .length = length}};
  ram.region.fd = ram.file.get();
  ram.guest.userfaultfd = ram.userfaultfd.get();
  ram.guest.pid = static_cast<pid_t>(pid);
  return ram;
}

}  // namespace

absl::StatusOr<TrackedRam> AskForRam(const std::string& path, absl::Duration timeout) {
  auto socket = Connect(path);
  if (!socket.ok()) return socket.status();
  auto answer = Receive(socket->get(), timeout);
  if (!answer.ok()) {
    return absl::Status(answer.status().code(),
                        fmt::format("{} (at {})", std::string(answer.status().message()), path));
  }
  return Understand(*std::move(answer));
}

}  // namespace farfault
