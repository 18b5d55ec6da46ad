#include "lib/cli/pager/front_desk.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>

#include "lib/cli/pager/unix_socket.h"
#include "lib/util/deadline.h"

namespace farfault {
namespace {

// More wait in the listener's queue.
constexpr std::size_t kMostArrivals = 64;
// Firecracker before 1.12 may seem to have hung up before its message is there; its example looks so often, so far
// apart.
constexpr int kLooksAtEnd = 5;
constexpr absl::Duration kLookAgain = absl::Milliseconds(100);
constexpr int kReadsPerTurn = 16;
constexpr std::size_t kMostBehind = 4096;

}  // namespace

Arrival::Arrival(UniqueFd socket, Deadline deadline)
    : socket_(std::move(socket)), deadline_(deadline), ends_left_(kLooksAtEnd) {}

Arrival::State Arrival::Fail(absl::Status why) {
  failure_ = std::move(why);
  return State::kFailed;
}

Deadline Arrival::due() const { return std::min(deadline_, look_again_); }

absl::Status Arrival::TakeFds(std::vector<UniqueFd> fds) {
  for (UniqueFd& fd : fds) fds_.push_back(std::move(fd));
  if (fds_.size() <= 2) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("the handshake came with {} descriptors; it has a userfaultfd and at most one file", fds_.size()));
}

// Takes what is there, but not from one arrival for ever: others wait as well.
absl::Status Arrival::Read() {
  std::array<char, 64 << 10> buffer;
  for (int i = 0; i < kReadsPerTurn; ++i) {
    auto received = ReceiveWithFds(socket_.get(), buffer);
    if (absl::IsUnavailable(received.status())) return absl::OkStatus();
    if (!received.ok()) return received.status();
    if (received->fds_lost) return absl::InvalidArgumentError("the handshake came with too many descriptors");
    if (absl::Status taken = TakeFds(std::move(received->fds)); !taken.ok()) return taken;
    at_end_ = received->bytes == 0;
    if (at_end_) return absl::OkStatus();
    if (handshake_) {  // What a descriptor that comes late is carried by.
      behind_ += received->bytes;
      if (behind_ <= kMostBehind) continue;
      return absl::InvalidArgumentError("a hypervisor goes on talking behind its handshake, without a descriptor");
    }
    text_.append(buffer.data(), received->bytes);
    if (text_.size() > kMaxHandshakeBytes) {
      return absl::InvalidArgumentError(fmt::format("the handshake is longer than {} bytes", kMaxHandshakeBytes));
    }
    auto parsed = ParseHandshake(text_);
    if (!parsed.ok()) return parsed.status();
    handshake_ = *std::move(parsed);
  }
  return absl::OkStatus();
}

Arrival::State Arrival::OnEnd() {
  if (ends_left_ == 0) {
    return Fail(absl::UnavailableError(
        text_.empty() ? "a hypervisor has hung up without a word"
        : handshake_
            ? "a hypervisor has hung up before its userfaultfd came"
            : fmt::format("a hypervisor has hung up in the middle of its handshake, after {} bytes", text_.size())));
  }
  if (look_again_.never() || look_again_.Passed()) {
    --ends_left_;
    look_again_ = Deadline::After(kLookAgain);
  }
  return State::kWaiting;
}

Arrival::State Arrival::Poll() {
  // Asked first: what has come by then was in time, however long this thread is kept from reading it.
  const bool late = deadline_.Passed();
  if (absl::Status read = Read(); !read.ok()) return Fail(std::move(read));
  const std::size_t needed = handshake_ && handshake_->shared_file ? 2 : 1;
  if (handshake_ && fds_.size() >= needed) {
    handshake_->userfaultfd = std::move(fds_[0]);
    if (needed == 2) handshake_->file = std::move(fds_[1]);
    if (handshake_->pid == 0) handshake_->pid = PeerProcess(socket_.get());
    return State::kComplete;
  }
  if (at_end_) return OnEnd();
  if (!late) return State::kWaiting;
  return Fail(absl::DeadlineExceededError(
      handshake_
          ? fmt::format("a hypervisor has handed over {} of {} descriptors and then nothing", fds_.size(), needed)
          : fmt::format("a hypervisor has begun a handshake ({} bytes) and not ended it in time", text_.size())));
}

absl::StatusOr<FrontDesk> FrontDesk::Open(const std::string& path, absl::Duration patience,
                                          std::function<void(const absl::Status&)> complain) {
  auto listener = ListenUnix(path);
  if (!listener.ok()) return listener.status();
  return FrontDesk(*std::move(listener), patience, std::move(complain));
}

void FrontDesk::AcceptNew() {
  while (arrivals_.size() < kMostArrivals) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) return;
    arrivals_.emplace_back(std::move(socket), Deadline::After(patience_));
  }
}

absl::Status FrontDesk::WaitForSomething(int stop) {
  Deadline due = Deadline::Never();
  std::vector<pollfd> polled = {{.fd = stop, .events = POLLIN, .revents = 0}};
  if (arrivals_.size() < kMostArrivals) polled.push_back({.fd = listener_.get(), .events = POLLIN, .revents = 0});
  for (const Arrival& arrival : arrivals_) {
    // One that has hung up is readable for ever; it has a time to be looked at again.
    if (!arrival.at_end()) polled.push_back({.fd = arrival.fd(), .events = POLLIN, .revents = 0});
    due = std::min(due, arrival.due());
  }
  const absl::Duration most = std::clamp(due.Left(), absl::Milliseconds(1), absl::Minutes(10));
  if (poll(polled.data(), polled.size(), static_cast<int>(absl::ToInt64Milliseconds(most)) + 1) < 0) {
    return absl::OkStatus();  // Interrupted: look at everything again.
  }
  return polled[0].revents == 0 ? absl::OkStatus() : absl::CancelledError("the pager was told to stop");
}

absl::StatusOr<Arrival::Guest> FrontDesk::Next(int stop) {
  for (;;) {
    AcceptNew();
    for (auto arrival = arrivals_.begin(); arrival != arrivals_.end();) {
      const Arrival::State state = arrival->Poll();
      if (state == Arrival::State::kWaiting) {
        ++arrival;
        continue;
      }
      std::optional<Arrival::Guest> guest;
      if (state == Arrival::State::kComplete) guest = arrival->Take();
      if (state == Arrival::State::kFailed) complain_(arrival->failure());
      arrival = arrivals_.erase(arrival);
      if (guest) return *std::move(guest);
    }
    if (absl::Status waited = WaitForSomething(stop); !waited.ok()) return waited;
  }
}

}  // namespace farfault
