#ifndef FARFAULT_LIB_RUNTIME_EVENT_SINK_H_
#define FARFAULT_LIB_RUNTIME_EVENT_SINK_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "farfault/events.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// Hands events to the user's listener, one at a time whatever thread they come from. Thread-safe.
class EventSink {
 public:
  explicit EventSink(EventListener listener) : listener_(std::move(listener)) {}

  bool has_listener() const { return static_cast<bool>(listener_); }

  void Send(EventKind kind, std::string text = {}) { Deliver({kind, 0, 0, std::move(text)}); }

  /// A hint that there is trouble at this end, when it is other trouble than last time. Empty: there is none.
  void HintAtTrouble(std::string trouble) {
    if (!listener_) return;
    const MutexLock lock(&mutex_);
    if (trouble == trouble_) return;
    trouble_ = std::move(trouble);
    if (!trouble_.empty()) listener_({EventKind::kHint, 0, 0, trouble_});
  }

  /// Dropped when the last progress event of this sink is less than a tenth of a second old and this is not the end.
  void Progress(EventKind kind, std::uint64_t done, std::uint64_t total) {
    if (!listener_) return;
    const MutexLock lock(&mutex_);
    if (done != total && !next_progress_.Passed()) return;
    next_progress_ = Deadline::After(absl::Milliseconds(100));
    listener_({kind, done, total, {}});
  }

 private:
  void Deliver(const Event& event) {
    if (!listener_) return;
    const MutexLock lock(&mutex_);
    listener_(event);
  }

  const EventListener listener_;
  Mutex mutex_;
  Deadline next_progress_ ABSL_GUARDED_BY(mutex_) = Deadline::Now();
  std::string trouble_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_EVENT_SINK_H_
