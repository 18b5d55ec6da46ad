#ifndef FARFAULT_LIB_RUNTIME_EVENT_SINK_H_
#define FARFAULT_LIB_RUNTIME_EVENT_SINK_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "farfault/events.h"
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
    const absl::Time now = absl::Now();
    if (done != total && now - last_progress_ < absl::Milliseconds(100)) return;
    last_progress_ = now;
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
  absl::Time last_progress_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::string trouble_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_EVENT_SINK_H_
