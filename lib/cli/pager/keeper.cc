#include "lib/cli/pager/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "lib/cli/pager/unix_socket.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

constexpr char kDone = 'd';

// The handshake again, for a pager that follows another and is told by somebody who is not the hypervisor.
std::string TextForNext(const Handshake& handshake) {
  nlohmann::json json = nlohmann::json::parse(handshake.text);
  json.front()["taken_over"] = true;
  json.front()["pid"] = handshake.pid;
  return json.dump();
}

// The child's part. The parent may have had threads when it forked: nothing here allocates or locks.
struct Keeping {
  int listener = -1;
  int pager = -1;    // The pager at work, -1: none.
  int process = -1;  // pidfd of the guest's process, -1: unknown.
  std::array<int, 2> fds{};
  std::size_t fd_count = 0;
  std::string_view text;
  const char* path = nullptr;
};

[[noreturn]] void End(const Keeping& keeping) {
  unlink(keeping.path);
  _exit(0);
}

void AcceptPager(Keeping& keeping) {
  const int pager = accept4(keeping.listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (pager < 0) return;
  if (keeping.pager < 0 && SendAll(pager, keeping.text, std::span(keeping.fds).first(keeping.fd_count)).ok()) {
    keeping.pager = pager;
  } else {
    close(pager);
  }
}

[[noreturn]] void Keep(Keeping& keeping) {
  for (;;) {
    std::array<pollfd, 3> polled{{{.fd = keeping.listener, .events = POLLIN, .revents = 0},
                                  {.fd = keeping.pager, .events = POLLIN, .revents = 0},
                                  {.fd = keeping.process, .events = POLLIN, .revents = 0}}};
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    if (polled[2].revents != 0) End(keeping);
    if (polled[1].revents != 0) {
      char word = 0;
      if (recv(keeping.pager, &word, 1, 0) == 1 && word == kDone) End(keeping);
      close(std::exchange(keeping.pager, -1));
    }
    if (polled[0].revents != 0) AcceptPager(keeping);
  }
}

// Everything else that the pager has open must end with the pager, its connection to the source above all.
void CloseOthers(Keeping& keeping) {
  std::array<int*, 5> kept{&keeping.listener, &keeping.pager, &keeping.process, &keeping.fds[0], &keeping.fds[1]};
  int next = 1000;
  for (int* fd : kept) {
    if (*fd < 0) continue;
    const int moved = fcntl(*fd, F_DUPFD_CLOEXEC, next);
    if (moved < 0) _exit(1);
    *fd = moved;
    next = moved + 1;
  }
  static_cast<void>(syscall(SYS_close_range, 0, 999, 0));
  int from = 1000;
  for (const int* fd : kept) {
    if (*fd < 0) continue;
    if (*fd > from) static_cast<void>(syscall(SYS_close_range, from, *fd - 1, 0));
    from = *fd + 1;
  }
  static_cast<void>(syscall(SYS_close_range, from, ~0u, 0));
}

}  // namespace

void KeptGuest::Dismiss() {
  if (connection_.valid()) SendAll(connection_.get(), std::string_view(&kDone, 1)).IgnoreError();
  connection_.reset();
}

absl::StatusOr<KeptGuest> StartKeeper(const std::string& path, const std::string& state_file,
                                      const Handshake& handshake) {
  auto listener = ListenUnix(path);
  if (!listener.ok()) return listener.status();
  if (unlink(state_file.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, "'" + state_file + "', left by another guest, cannot be removed");
  }
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return absl::ErrnoToStatus(errno, "socketpair");
  UniqueFd own(ends[0]);
  const UniqueFd keepers(ends[1]);
  const UniqueFd process(handshake.pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, handshake.pid, 0)) : -1);
  const std::string text = TextForNext(handshake);
  Keeping keeping{.listener = listener->get(),
                  .pager = keepers.get(),
                  .process = process.get(),
                  .fds = {handshake.userfaultfd.get(), handshake.file.get()},
                  .fd_count = handshake.file.valid() ? 2u : 1u,
                  .text = text,
                  .path = path.c_str()};
  const pid_t child = fork();
  if (child < 0) return absl::ErrnoToStatus(errno, "the keeper cannot be started");
  if (child == 0) {
    setsid();  // Ctrl-C is for the pager.
    prctl(PR_SET_NAME, "ff-keeper");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);  // The pager waits for its signals in another way.
    CloseOthers(keeping);
    Keep(keeping);
  }
  return KeptGuest(std::move(own));
}

absl::StatusOr<TakenOver> AskKeeper(const std::string& path, absl::Duration patience) {
  auto socket = ConnectUnix(path);
  if (absl::IsUnavailable(socket.status())) return absl::NotFoundError("there is no keeper");
  if (!socket.ok()) return socket.status();
  // Its process would be the keeper's: the handshake names the guest's.
  UniqueFd duplicate(fcntl(socket->get(), F_DUPFD_CLOEXEC, 0));
  if (fcntl(socket->get(), F_SETFL, O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, "fcntl(O_NONBLOCK)");
  Arrival arrival(*std::move(socket), Deadline::After(patience));
  for (;;) {
    const Arrival::State state = arrival.Poll();
    if (state == Arrival::State::kComplete) break;
    if (state == Arrival::State::kFailed) {
      return absl::FailedPreconditionError(
          fmt::format("the keeper at '{}' does not give its guest away ({}): does its pager still run?", path,
                      std::string(arrival.failure().message())));
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return TakenOver{arrival.Take(), KeptGuest(std::move(duplicate))};
}

}  // namespace farfault
