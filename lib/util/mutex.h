#ifndef FARFAULT_LIB_UTIL_MUTEX_H_
#define FARFAULT_LIB_UTIL_MUTEX_H_

#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#include "absl/base/thread_annotations.h"
#include "lib/util/deadline.h"

namespace farfault {

/// std::mutex with thread annotations. Not absl::Mutex: a distribution builds Abseil without ThreadSanitizer, which
/// then does not see its locks and reports races where there are none.
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class CondVar;
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

/// What waits for a change of something that a mutex guards. Whoever makes the change notifies while holding the mutex.
class CondVar {
 public:
  void NotifyAll() { changed_.notify_all(); }

  /// Waits, with the mutex given up meanwhile, until `condition()` holds; it is asked under the mutex. False: it did
  /// not at the deadline.
  template <typename Condition>
  bool WaitUntil(Mutex* mutex, Deadline deadline, Condition condition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock lock(mutex->mutex_, std::adopt_lock);
    bool holds = condition();
    while (!holds && !deadline.Passed()) {
      if (deadline.never()) {
        changed_.wait(lock);
      } else {
        changed_.wait_until(lock, deadline.when());
      }
      holds = condition();
    }
    lock.release();
    return holds;
  }

 private:
  std::condition_variable changed_;
};

/// std::shared_mutex with thread annotations: any number of readers, or one writer.
class ABSL_LOCKABLE SharedMutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  void LockShared() ABSL_SHARED_LOCK_FUNCTION() { mutex_.lock_shared(); }
  void UnlockShared() ABSL_UNLOCK_FUNCTION() { mutex_.unlock_shared(); }

 private:
  std::shared_mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE WriterLock {
 public:
  explicit WriterLock(SharedMutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(*mutex) { mutex_.Lock(); }
  ~WriterLock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex& mutex_;
};

class ABSL_SCOPED_LOCKABLE ReaderLock {
 public:
  explicit ReaderLock(SharedMutex* mutex) ABSL_SHARED_LOCK_FUNCTION(mutex) : mutex_(*mutex) { mutex_.LockShared(); }
  ~ReaderLock() ABSL_UNLOCK_FUNCTION() { mutex_.UnlockShared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex& mutex_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_UTIL_MUTEX_H_
