#ifndef FARFAULT_LIB_TRANSPORT_VERBS_COMPLETION_WAIT_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_COMPLETION_WAIT_H_

#include <atomic>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/transport/transport.h"
#include "lib/transport/verbs/queue_pair.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// What the owner of a channel sleeps on: the completions of its queue pair, and Wake, which any thread may call.
/// Otherwise owner only.
class CompletionWait {
 public:
  static absl::StatusOr<CompletionWait> Create(const QueuePair& queue_pair);
  CompletionWait(CompletionWait&& other) noexcept
      : epoll_(std::move(other.epoll_)),
        wake_(std::move(other.wake_)),
        channel_(other.channel_),
        queue_(other.queue_) {}
  CompletionWait& operator=(CompletionWait&&) = delete;
  ~CompletionWait() = default;

  WaitHandle handle() const;

  /// From now on a completion ends the sleep. 0, or an error number.
  int Arm();
  /// Takes what has made the sleep end off the descriptors, or they would stay readable. Costs nothing when nobody has
  /// armed since.
  void Settle();
  /// Before the completion queue is destroyed, which waits for it.
  void AcknowledgeAll();

  /// At most once. Any thread.
  void Wake();

 private:
  CompletionWait(UniqueFd epoll, UniqueFd wake, const QueuePair& queue_pair)
      : epoll_(std::move(epoll)),
        wake_(std::move(wake)),
        channel_(queue_pair.completion_channel.get()),
        queue_(queue_pair.completion_queue.get()) {}

  UniqueFd epoll_;
  UniqueFd wake_;
  ibv_comp_channel* channel_;
  ibv_cq* queue_;
  bool slept_ = false;
  bool armed_ = false;
  unsigned unacknowledged_ = 0;
  std::atomic<bool> wake_pending_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_COMPLETION_WAIT_H_
