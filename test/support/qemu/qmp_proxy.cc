#include "test/support/qemu/qmp_proxy.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

namespace farfault {
namespace {

using nlohmann::json;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  return address;
}

bool SendLine(int fd, const std::string& line) {
  const std::string text = line + "\n";
  return send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

// Takes what has come, and the lines out of it that are whole.
class Lines {
 public:
  bool Read(int fd) {
    std::array<char, 16384> chunk;
    const ssize_t count = recv(fd, chunk.data(), chunk.size(), 0);
    if (count > 0) text_.append(chunk.data(), static_cast<std::size_t>(count));
    return count > 0;
  }
  std::optional<std::string> Next() {
    const std::size_t end = text_.find('\n');
    if (end == std::string::npos) return std::nullopt;
    std::string line = text_.substr(0, end);
    text_.erase(0, end + 1);
    return line;
  }

 private:
  std::string text_;
};

}  // namespace

QmpProxy::QmpProxy(std::string path, std::string qemu)
    : path_(std::move(path)),
      qemu_path_(std::move(qemu)),
      listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  const sockaddr_un address = AddressOf(path_);
  if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_.get(), 1) != 0) {
    listener_.reset();  // The client will say that nobody is there.
    return;
  }
  thread_ = std::thread([this] { Run(); });
}

QmpProxy::~QmpProxy() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  const std::uint64_t one = 1;
  static_cast<void>(!write(stop_.get(), &one, sizeof one));
  if (thread_.joinable()) thread_.join();
}

void QmpProxy::Set(const std::string& command, Treatment treatment) {
  const std::lock_guard lock(mutex_);
  treatments_[command] = treatment;
}

QmpProxy::Treatment QmpProxy::CountAndTreat(const std::string& command) {
  const std::lock_guard lock(mutex_);
  ++counts_[command];
  const auto found = treatments_.find(command);
  return found == treatments_.end() ? Treatment::kPass : found->second;
}

void QmpProxy::HoldAnswer(const std::string& words) {
  const std::lock_guard lock(mutex_);
  held_words_ = words;
}

bool QmpProxy::MustHold(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (held_words_.empty() || line.find(held_words_) == std::string::npos) return false;
  held_words_.clear();
  return true;
}

int QmpProxy::Count(const std::string& command) {
  const std::lock_guard lock(mutex_);
  return counts_[command];
}

bool QmpProxy::WaitUntilHeld(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, absl::ToChronoMilliseconds(timeout), [this] { return held_; });
}

void QmpProxy::Release() {
  {
    const std::lock_guard lock(mutex_);
    released_ = true;
  }
  changed_.notify_all();
}

bool QmpProxy::WaitForRelease() {
  std::unique_lock lock(mutex_);
  held_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return released_ || stopping_; });
  return !stopping_;
}

void QmpProxy::Run() {
  for (;;) {
    std::array<pollfd, 2> polled{
        {{.fd = listener_.get(), .events = POLLIN, .revents = 0}, {.fd = stop_.get(), .events = POLLIN, .revents = 0}}};
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[1].revents != 0) return;
    const UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const UniqueFd qemu(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = AddressOf(qemu_path_);
    if (!client.valid() || connect(qemu.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      continue;
    }
    Serve(client.get(), qemu.get());
  }
}

void QmpProxy::Serve(int client, int qemu) {
  Lines from_client;
  Lines from_qemu;
  late_id_ = nullptr;
  late_answer_.clear();
  for (;;) {
    std::array<pollfd, 3> polled{{{.fd = client, .events = POLLIN, .revents = 0},
                                  {.fd = qemu, .events = POLLIN, .revents = 0},
                                  {.fd = stop_.get(), .events = POLLIN, .revents = 0}}};
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[2].revents != 0) return;
    if (polled[0].revents != 0 && !from_client.Read(client)) return;
    if (polled[1].revents != 0 && !from_qemu.Read(qemu)) return;
    while (auto line = from_client.Next()) {
      if (!FromClient(*line, client, qemu)) return;
    }
    while (auto line = from_qemu.Next()) {
      if (!FromQemu(*line, client)) return;
    }
  }
}

bool QmpProxy::FromClient(const std::string& line, int client, int qemu) {
  const json command = json::parse(line, nullptr, false);
  if (!command.is_object()) return SendLine(qemu, line);
  if (!late_answer_.empty() && !SendLine(client, std::exchange(late_answer_, {}))) return false;
  const json id = command.value("id", json());
  switch (CountAndTreat(command.value("execute", std::string()))) {
    case Treatment::kRefuse:
      return SendLine(
          client, json{{"id", id}, {"error", {{"class", "GenericError"}, {"desc", "not in the mood for it"}}}}.dump());
    case Treatment::kAnswerLate:
      late_id_ = id;
      break;
    case Treatment::kHold:
      if (!WaitForRelease()) return false;
      break;
    case Treatment::kSwallow:
      return true;
    case Treatment::kPass:
      break;
  }
  return SendLine(qemu, line);
}

bool QmpProxy::FromQemu(const std::string& line, int client) {
  const json message = json::parse(line, nullptr, false);
  if (message.is_object() && !late_id_.is_null() && message.value("id", json()) == late_id_) {
    late_answer_ = line;
    late_id_ = nullptr;
    return true;
  }
  if (MustHold(line) && !WaitForRelease()) return false;
  return SendLine(client, line);
}

}  // namespace farfault
