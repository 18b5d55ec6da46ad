#ifndef FARFAULT_LIB_TRANSPORT_SIM_CONNECTION_REQUESTS_H_
#define FARFAULT_LIB_TRANSPORT_SIM_CONNECTION_REQUESTS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/transport/sim/sim_channel.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault::sim {

/// The listeners of a fabric and the connection requests that wait at them. Thread-safe.
class ConnectionRequests {
 public:
  enum class State : std::uint8_t { kWaiting, kTaken, kAccepted, kRejected, kGone };
  struct Request {
    PrivateData private_data{};
    EndOptions options;
    // Guarded by the mutex of ConnectionRequests.
    State state = State::kWaiting;
    std::unique_ptr<Channel> channel;  // The requester's end, once accepted.
  };

  /// Opens a listener; `any` picks a port. Returns the port, or nothing when it is taken.
  std::optional<std::uint32_t> Open(std::uint32_t port, bool any);
  /// Whoever waits there is turned away.
  void Close(std::uint32_t port);

  /// Asks at a listener and waits for the answer.
  absl::StatusOr<std::unique_ptr<Channel>> Ask(std::uint32_t port, std::shared_ptr<Request> request, Deadline deadline);
  /// The next request at a listener. kDeadlineExceeded, kCancelled.
  absl::StatusOr<std::shared_ptr<Request>> Next(std::uint32_t port, Deadline deadline);
  /// The answer to a request that Next has given. False: nobody waits for it any more.
  bool Answer(Request& request, std::unique_ptr<Channel> channel);
  void Reject(Request& request);

 private:
  static constexpr std::uint32_t kFirstPickedPort = 40000;

  Mutex mutex_;
  CondVar changed_;  // A request was made or answered, or a listener closed.
  std::map<std::uint32_t, std::deque<std::shared_ptr<Request>>> listeners_ ABSL_GUARDED_BY(mutex_);
  std::uint32_t next_port_ ABSL_GUARDED_BY(mutex_) = kFirstPickedPort;
};

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_TRANSPORT_SIM_CONNECTION_REQUESTS_H_
