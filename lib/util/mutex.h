#ifndef FARFAULT_LIB_UTIL_MUTEX_H_
#define FARFAULT_LIB_UTIL_MUTEX_H_

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace farfault {

/// std::mutex with thread annotations. Not absl::Mutex: a distribution builds Abseil without ThreadSanitizer, which then
/// does not see its locks and reports races where there are none.
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(*mutex) { mutex_.Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_MUTEX_H_
