#include "test/unit/cli/qemu/fake_qmp.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

namespace farfault {
namespace {

using nlohmann::json;

// Whether there is something to read, and not the end.
bool WaitToRead(int fd, int stop) {
  for (;;) {
    std::array<pollfd, 2> polled{
        {{.fd = fd, .events = POLLIN, .revents = 0}, {.fd = stop, .events = POLLIN, .revents = 0}}};
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    return polled[1].revents == 0;
  }
}

}  // namespace

std::string FakeQmp::Greeting() {
  return R"({"QMP":{"version":{"qemu":{"micro":22,"minor":2,"major":7},"package":""},"capabilities":["oob"]}})";
}

std::string FakeQmp::Answer(const json& command, const json& returned) {
  return json{{"return", returned}, {"id", command.at("id")}}.dump();
}

std::string FakeQmp::Refusal(const json& command, const std::string& why, const std::string& error_class) {
  return json{{"error", {{"class", error_class}, {"desc", why}}}, {"id", command.at("id")}}.dump();
}

FakeQmp::FakeQmp(std::string greeting, Answers answers)
    : greeting_(std::move(greeting)),
      answers_(std::move(answers)),
      listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(eventfd(0, EFD_CLOEXEC)) {
  static std::atomic<int> count = 0;
  path_ = std::filesystem::temp_directory_path() / fmt::format("farfault-qmp-{}-{}", getpid(), ++count);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), std::min(path_.size(), sizeof address.sun_path - 1));
  unlink(path_.c_str());
  if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_.get(), 1) != 0) {
    return;  // The client says that nobody is there.
  }
  thread_ = std::thread([this] { Run(); });
}

FakeQmp::~FakeQmp() {
  const std::uint64_t one = 1;
  static_cast<void>(!write(stop_.get(), &one, sizeof one));
  if (thread_.joinable()) thread_.join();
  unlink(path_.c_str());
}

bool FakeQmp::Say(int client, const std::string& line) {
  if (line == kHangUp) return false;
  const std::string text = line + "\r\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t count = send(client, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (count <= 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

void FakeQmp::Run() {
  if (!WaitToRead(listener_.get(), stop_.get())) return;
  const UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!greeting_.empty() && !Say(client.get(), greeting_)) return;
  std::string text;
  while (WaitToRead(client.get(), stop_.get())) {
    std::array<char, 4096> chunk;
    const ssize_t count = recv(client.get(), chunk.data(), chunk.size(), 0);
    if (count <= 0) return;
    text.append(chunk.data(), static_cast<std::size_t>(count));
    for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      const json command = json::parse(text.substr(0, end), nullptr, false);
      text.erase(0, end + 1);
      if (!command.is_object()) return;
      for (const std::string& line : answers_(command)) {
        if (!Say(client.get(), line)) return;
      }
    }
  }
}

}  // namespace farfault
