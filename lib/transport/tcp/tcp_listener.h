#ifndef FARFAULT_LIB_TRANSPORT_TCP_TCP_LISTENER_H_
#define FARFAULT_LIB_TRANSPORT_TCP_TCP_LISTENER_H_

#include <poll.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/transport/tcp/memory_table.h"
#include "lib/transport/tcp/tcp_address.h"
#include "lib/transport/tcp/tcp_frame.h"
#include "lib/transport/transport.h"
#include "lib/util/deadline.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// Connections whose hello is not complete wait in a bounded set, the oldest of which makes room for a new one, so a
/// peer that says nothing is in nobody's way.
class TcpListener final : public Listener {
 public:
  static constexpr std::size_t kMostPending = 64;
  static constexpr absl::Duration kHelloTimeout = absl::Seconds(5);

  /// Errors as for Transport::Listen; kInvalidArgument when this host does not have the address, kPermissionDenied when
  /// the port is privileged.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(const TcpAddress& address, MemoryTable& memory);

  std::string address() const override { return address_; }
  absl::StatusOr<std::unique_ptr<IncomingChannel>> Accept(Deadline deadline) override;
  void Close() override;

 private:
  struct Pending {
    UniqueFd socket;
    std::string peer;
    Deadline deadline;
    TcpHello hello;
    std::size_t have = 0;
  };
  enum class HelloState { kIncomplete, kComplete, kUseless };

  TcpListener(UniqueFd socket, UniqueFd wake, std::string address, MemoryTable& memory);

  absl::Status AcceptSockets();
  absl::Status WaitForAny(Deadline deadline);
  std::unique_ptr<IncomingChannel> TakeComplete();
  HelloState ReadHello(Pending& pending);
  static HelloState CheckHello(const Pending& pending);

  const UniqueFd socket_;
  const UniqueFd wake_;
  const std::string address_;
  MemoryTable& memory_;
  std::atomic<bool> closed_ = false;
  std::deque<Pending> pending_;  // Oldest first.
  std::vector<pollfd> polled_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_TCP_TCP_LISTENER_H_
