#ifndef FARFAULT_LIB_UTIL_NOTIFICATION_H_
#define FARFAULT_LIB_UTIL_NOTIFICATION_H_

#include "absl/base/thread_annotations.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// Something that happens once. What the notifier did before is visible to whoever has seen it. It may be destroyed as
/// soon as anybody has: Notify touches nothing any more once the mutex is free. Thread-safe.
class Notification {
 public:
  void Notify() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    notified_ = true;
    changed_.NotifyAll();
  }

  bool HasBeenNotified() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    return notified_;
  }

  void Wait() ABSL_LOCKS_EXCLUDED(mutex_) { WaitUntil(Deadline::Never()); }

  /// False: it has not happened at the deadline.
  bool WaitUntil(Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    return changed_.WaitUntil(&mutex_, deadline, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return notified_; });
  }

 private:
  mutable Mutex mutex_;
  CondVar changed_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_NOTIFICATION_H_
