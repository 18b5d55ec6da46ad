#ifndef FARFAULT_LIB_TRANSPORT_RAILS_RAIL_LISTENER_H_
#define FARFAULT_LIB_TRANSPORT_RAILS_RAIL_LISTENER_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/transport/rails/rail.h"
#include "lib/transport/rails/rail_keys.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// Listens on all rails at once: a thread for each waits for the next request there, and goes on when that has been
/// taken.
class RailListener final : public Listener {
 public:
  /// `rails` and `keys` outlive the listener and what comes of it. Errors of the rails' listeners, which are there in
  /// the rails' order, and kResourceExhausted when there is no thread.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(std::span<const std::unique_ptr<Rail>> rails,
                                                          const RailKeyBook& keys,
                                                          std::vector<std::unique_ptr<Listener>> listeners);
  ~RailListener() override;

  std::string address() const override { return address_; }
  absl::StatusOr<std::unique_ptr<IncomingChannel>> Accept(Deadline deadline) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Close() override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Arrival {
    std::size_t rail = 0;
    absl::StatusOr<std::unique_ptr<IncomingChannel>> incoming;
  };

  RailListener(std::span<const std::unique_ptr<Rail>> rails, const RailKeyBook& keys,
               std::vector<std::unique_ptr<Listener>> listeners);
  absl::Status Start();
  void Listen(std::size_t rail) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::span<const std::unique_ptr<Rail>> rails_;
  const RailKeyBook& keys_;
  const std::vector<std::unique_ptr<Listener>> listeners_;
  const std::string address_;
  Mutex mutex_;
  CondVar changed_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Arrival> arrived_ ABSL_GUARDED_BY(mutex_);  // At most one of each rail.
  std::vector<bool> waiting_ ABSL_GUARDED_BY(mutex_);    // Rails whose arrival nobody has taken yet.
  std::vector<std::thread> threads_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_RAILS_RAIL_LISTENER_H_
