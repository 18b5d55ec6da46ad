#include "lib/transport/verbs/completion_wait.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "lib/transport/verbs/verbs_error.h"

namespace farfault {
namespace {

constexpr unsigned kAcknowledgeAfter = 64;

bool Watch(int epoll, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {}};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

absl::StatusOr<CompletionWait> CompletionWait::Create(const QueuePair& queue_pair) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const int completions = queue_pair.completion_channel->fd;
  const int flags = fcntl(completions, F_GETFL);
  const bool sound = epoll.valid() && wake.valid() && flags >= 0 &&
                     fcntl(completions, F_SETFL, flags | O_NONBLOCK) == 0 && Watch(epoll.get(), completions) &&
                     Watch(epoll.get(), wake.get());
  if (!sound) return RdmaError("a channel's completions cannot be waited for", errno);
  return CompletionWait(std::move(epoll), std::move(wake), queue_pair);
}

WaitHandle CompletionWait::handle() const { return {epoll_.get(), POLLIN}; }

int CompletionWait::Arm() {
  slept_ = true;
  if (armed_) return 0;
  const int error = ibv_req_notify_cq(queue_, 0);
  armed_ = error == 0;
  return error;
}

void CompletionWait::Settle() {
  if (!std::exchange(slept_, false)) return;
  ibv_cq* queue = nullptr;
  void* context = nullptr;
  if (ibv_get_cq_event(channel_, &queue, &context) == 0) {
    armed_ = false;
    if (++unacknowledged_ >= kAcknowledgeAfter) AcknowledgeAll();
  }
  if (!wake_pending_.load(std::memory_order_relaxed)) return;
  wake_pending_.store(false, std::memory_order_relaxed);
  std::uint64_t wakes;
  static_cast<void>(!read(wake_.get(), &wakes, sizeof(wakes)));
}

void CompletionWait::AcknowledgeAll() {
  if (unacknowledged_ > 0) ibv_ack_cq_events(queue_, std::exchange(unacknowledged_, 0));
}

void CompletionWait::Wake() {
  wake_pending_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  // The counter cannot overflow: it is raised once.
  static_cast<void>(!write(wake_.get(), &one, sizeof(one)));
}

}  // namespace farfault
