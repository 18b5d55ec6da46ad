#include "lib/cli/qemu/qmp_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "lib/util/deadline.h"
#include "lib/util/status_text.h"

namespace farfault {
namespace {

using nlohmann::json;

// How often somebody who waits for an answer is asked whether to go on.
constexpr absl::Duration kGlance = absl::Milliseconds(200);

// 1 when ready, 0 when the deadline has passed.
int WaitFd(int fd, short what, Deadline deadline) {
  for (;;) {
    // Bounded before it is counted: there may be no end to it.
    const absl::Duration left = std::min(deadline.Left(), absl::Minutes(1));
    pollfd entry{.fd = fd, .events = what, .revents = 0};
    const int ready = poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready > 0) return 1;
    if (deadline.Passed()) return 0;
  }
}

// What the peer sends may have any type anywhere, which nlohmann's own accessors answer with exceptions.
std::string Text(const json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
std::int64_t Number(const json& object, const char* key) {
  if (!object.is_object()) return -1;
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
}

const json& Member(const json& object, const char* key) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}

std::string_view HowToGiveASocket() { return "start QEMU with -qmp unix:PATH,server=on,wait=off and name that PATH"; }

}  // namespace

absl::StatusOr<QmpClient> QmpClient::Connect(std::string who, const std::string& path, absl::Duration timeout) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return absl::InvalidArgumentError(
        fmt::format("the {}'s QMP socket '{}' is no path of a UNIX socket: it has {} bytes, "
                    "1 to {} are possible",
                    who, path, path.size(), sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "a socket for QMP");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return absl::UnavailableError(fmt::format("no QEMU answers at the {}'s QMP socket {}: {}; {}", who, path,
                                              std::strerror(errno), HowToGiveASocket()));
  }
  QmpClient client(std::move(who), std::move(fd));
  if (absl::Status status = client.Greet(Deadline::After(timeout)); !status.ok()) {
    return absl::Status(status.code(), fmt::format("{} (its QMP socket: {})", std::string(StatusText(status)), path));
  }
  return client;
}

absl::Status QmpClient::Greet(Deadline deadline) {
  auto greeting = ReadMessage(deadline);
  if (absl::IsDeadlineExceeded(greeting.status())) {
    return absl::UnavailableError(fmt::format(
        "the {}'s QEMU does not greet: its monitor serves one client at a time, and another one seems to be connected",
        who_));
  }
  if (!greeting.ok()) return greeting.status();
  const json& version = Member(Member(Member(*greeting, "QMP"), "version"), "qemu");
  if (Number(version, "major") < 0) {
    return absl::InvalidArgumentError(fmt::format("what listens there is not the {}'s QMP: it says {:.80}; {}", who_,
                                                  greeting->dump(), HowToGiveASocket()));
  }
  version_ = fmt::format("{}.{}.{}", Number(version, "major"), Number(version, "minor"), Number(version, "micro"));
  const json& offered = Member(Member(*greeting, "QMP"), "capabilities");
  out_of_band_ = offered.is_array() && std::find(offered.begin(), offered.end(), "oob") != offered.end();
  const json wanted = out_of_band_ ? json{{"enable", {"oob"}}} : json::object();
  return Execute("qmp_capabilities", wanted, deadline.Left()).status();
}

absl::Status QmpClient::Gone(const char* what) const {
  return absl::UnavailableError(fmt::format("the {}'s QEMU has gone ({}): what it printed last says why", who_, what));
}

bool QmpClient::HasGone(absl::Duration patience) const {
  pollfd entry{.fd = fd_.get(), .events = 0, .revents = 0};
  return poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) > 0 &&
         (entry.revents & (POLLHUP | POLLERR)) != 0;
}

absl::Status QmpClient::Send(const json& message, Deadline deadline) {
  const std::string text = message.dump() + "\n";
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count = send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      if (WaitFd(fd_.get(), POLLOUT, deadline) == 0) {
        return absl::DeadlineExceededError(fmt::format("the {}'s QEMU takes no commands", who_));
      }
    } else if (errno != EINTR) {
      return Gone(std::strerror(errno));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<json> QmpClient::ReadMessage(Deadline deadline) {
  for (;;) {
    if (const std::size_t end = input_.find('\n'); end != std::string::npos) {
      json message = json::parse(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
      if (!message.is_object()) {
        return absl::InvalidArgumentError(
            fmt::format("the {}'s socket does not speak QMP, it says: {:.80}", who_, input_.substr(0, end)));
      }
      input_.erase(0, end + 1);
      return message;
    }
    if (input_.size() > kMaxMessage) {
      return absl::InvalidArgumentError(
          fmt::format("the {}'s QMP sends a line of more than {} bytes", who_, kMaxMessage));
    }
    if (WaitFd(fd_.get(), POLLIN, deadline) == 0) {
      return absl::DeadlineExceededError(fmt::format("the {}'s QEMU does not answer", who_));
    }
    std::array<char, 16384> chunk;
    const ssize_t count = recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (count == 0) return Gone("it closed its monitor");
    if (count > 0) {
      input_.append(chunk.data(), static_cast<std::size_t>(count));
    } else if (errno != EINTR && errno != EAGAIN) {
      return Gone(std::strerror(errno));
    }
  }
}

absl::StatusOr<json> QmpClient::Execute(const std::string& command, const json& arguments, absl::Duration timeout) {
  return Ask("execute", command, arguments, timeout, [] { return true; });
}

absl::StatusOr<json> QmpClient::ExecuteWhile(const std::string& command, absl::Duration timeout,
                                             absl::FunctionRef<bool()> go_on) {
  return Ask("execute", command, json::object(), timeout, go_on);
}

absl::StatusOr<json> QmpClient::ExecuteOutOfBand(const std::string& command, const json& arguments,
                                                 absl::Duration timeout) {
  if (!out_of_band_) {
    return absl::UnimplementedError(
        fmt::format("the {}'s QEMU {} takes no command while it carries another out", who_, version_));
  }
  return Ask("exec-oob", command, arguments, timeout, [] { return true; });
}

absl::StatusOr<json> QmpClient::Ask(const char* how, const std::string& command, const json& arguments,
                                    absl::Duration timeout, absl::FunctionRef<bool()> go_on) {
  const Deadline deadline = Deadline::After(timeout);
  json request = {{how, command}, {"id", ++last_id_}};
  if (!arguments.empty()) request["arguments"] = arguments;
  if (absl::Status status = Send(request, deadline); !status.ok()) return status;
  for (;;) {
    auto message = ReadMessage(std::min(deadline, Deadline::After(kGlance)));
    if (absl::IsDeadlineExceeded(message.status()) && !deadline.Passed() && go_on()) continue;
    if (!message.ok()) {
      return absl::Status(message.status().code(),
                          fmt::format("{}, in answer to {}", std::string(StatusText(message.status())), command));
    }
    // The answer to a command that was given up comes late.
    if (message->contains("id") && message->at("id") != last_id_) {
      if (message->contains("error")) late_refusal_ = absl::FailedPreconditionError(Text(message->at("error"), "desc"));
      continue;
    }
    if (message->contains("return")) return message->at("return");
    if (message->contains("error")) {
      const json& error = message->at("error");
      const std::string text =
          fmt::format("the {}'s QEMU {} refuses {}: {}", who_, version_, command, Text(error, "desc"));
      if (Text(error, "class") == "CommandNotFound") return absl::UnimplementedError(text);
      return absl::FailedPreconditionError(text);
    }
    if (message->contains("event")) {
      if (events_.size() == kMaxEvents) events_.pop_front();
      events_.push_back(*std::move(message));
    }
  }
}

absl::Status QmpClient::WaitUntilGone(absl::Duration timeout) {
  const Deadline deadline = Deadline::After(timeout);
  for (;;) {
    absl::Status status = ReadMessage(deadline).status();
    if (absl::IsUnavailable(status)) return absl::OkStatus();
    if (!status.ok()) return status;
  }
}

absl::StatusOr<json> QmpClient::FindEvent(const std::string& event, absl::Duration timeout) {
  const Deadline deadline = Deadline::After(timeout);
  std::size_t seen = 0;
  for (;;) {
    for (; seen < events_.size(); ++seen) {
      if (Text(events_[seen], "event") == event) return events_[seen];
    }
    auto message = ReadMessage(deadline);
    if (!message.ok()) {
      return absl::Status(message.status().code(), fmt::format("{}, while it was to report {}",
                                                               std::string(StatusText(message.status())), event));
    }
    if (!message->contains("event")) continue;
    if (events_.size() == kMaxEvents) {
      events_.pop_front();
      --seen;
    }
    events_.push_back(*std::move(message));
  }
}

absl::StatusOr<json> QmpClient::WaitFor(const std::string& event, absl::Duration timeout) {
  auto found = FindEvent(event, timeout);
  if (!found.ok()) return found.status();
  const auto data = found->find("data");
  return data == found->end() ? json::object() : *data;
}

absl::StatusOr<absl::Time> QmpClient::WaitForTime(const std::string& event, absl::Duration timeout) {
  auto found = FindEvent(event, timeout);
  if (!found.ok()) return found.status();
  const json when = found->value("timestamp", json::object());
  return absl::FromUnixSeconds(Number(when, "seconds")) + absl::Microseconds(Number(when, "microseconds"));
}

}  // namespace farfault
