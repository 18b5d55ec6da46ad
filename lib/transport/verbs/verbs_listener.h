#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_LISTENER_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_LISTENER_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "lib/transport/transport.h"
#include "lib/transport/verbs/cm_events.h"
#include "lib/transport/verbs/cm_id.h"
#include "lib/transport/verbs/queue_pair.h"
#include "lib/transport/verbs/verbs_address.h"
#include "lib/transport/verbs/verbs_transport.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// A request comes whole, in one message of the connection manager. Those that nobody has taken yet wait in a bounded
/// set, the oldest of which makes room for a new one.
class VerbsListener final : public Listener, private CmEventHandler {
 public:
  static constexpr std::size_t kMostPending = 64;

  /// Errors as for Transport::Listen; kInvalidArgument when the address is not one of an RDMA device of this host.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(VerbsTransport& transport, const VerbsAddress& address);
  ~VerbsListener() override { Close(); }

  std::string address() const override { return address_; }
  absl::StatusOr<std::unique_ptr<IncomingChannel>> Accept(Deadline deadline) override ABSL_LOCKS_EXCLUDED(mutex_);
  void Close() override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Request {
    std::unique_ptr<CmId> id;
    PrivateData private_data{};
    ReadDepth most;  // What the peer can do.
  };

  VerbsListener(VerbsTransport& transport, VerbsChoice choice, std::string address, std::unique_ptr<CmId> id)
      : transport_(transport), choice_(std::move(choice)), address_(std::move(address)), id_(std::move(id)) {}

  void OnCmEvent(const rdma_cm_event& event) override ABSL_LOCKS_EXCLUDED(mutex_);

  VerbsTransport& transport_;
  const VerbsChoice choice_;
  const std::string address_;
  Mutex mutex_;
  CondVar changed_;
  std::unique_ptr<CmId> id_ ABSL_GUARDED_BY(mutex_);  // Null: closed.
  std::deque<Request> pending_ ABSL_GUARDED_BY(mutex_);
  bool removed_ ABSL_GUARDED_BY(mutex_) = false;
  std::string device_name_ ABSL_GUARDED_BY(mutex_);  // Of the one that was removed.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_LISTENER_H_
