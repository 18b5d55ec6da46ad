#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_FAILURE_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_FAILURE_H_

#include <fmt/format.h>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "lib/transport/verbs/verbs_error.h"
#include "lib/util/mutex.h"

namespace farfault {

/// Why a channel is broken. The first reason stays, but a real one takes the place of one that only follows from it:
/// the news that the peer has hung up may come before the completion that says why. Thread-safe.
class VerbsFailure {
 public:
  /// `who` begins the message: "channel 'demand' with verbs://192.0.2.7:7000".
  explicit VerbsFailure(std::string who) : who_(std::move(who)) {}

  /// True: the channel was not broken before. `trouble` is what is known to be wrong at this end.
  bool Record(const Failure& failure, std::string_view trouble = {}) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    if (status_.ok() || (generic_ && !failure.generic)) {
      if (trouble_.empty()) trouble_ = trouble;
      status_ = absl::Status(failure.code,
                             fmt::format("{}: {}{}{}", who_, failure.text, trouble_.empty() ? "" : "; ", trouble_));
      generic_ = failure.generic;
    }
    return !broken_.exchange(true, std::memory_order_seq_cst);
  }

  bool broken() const { return broken_.load(std::memory_order_seq_cst); }
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(&mutex_);
    return status_;
  }

 private:
  const std::string who_;
  mutable Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::string trouble_ ABSL_GUARDED_BY(mutex_);
  bool generic_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<bool> broken_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_FAILURE_H_
