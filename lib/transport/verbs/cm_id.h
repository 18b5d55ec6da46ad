#ifndef FARFAULT_LIB_TRANSPORT_VERBS_CM_ID_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_CM_ID_H_

#include <rdma/rdma_cma.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/transport/verbs/cm_events.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// One rdma_cm_id: one attempt to listen or to connect, and what comes of it. It is never used for a second one, so an
/// answer to an attempt that was given up finds nobody whom it could mislead.
class CmId final : private CmEventHandler {
 public:
  /// What stays of an rdma_cm_event.
  struct Event {
    rdma_cm_event_type type{};
    int status = 0;
    std::vector<std::byte> private_data;
  };

  static absl::StatusOr<std::unique_ptr<CmId>> Create(CmEvents& events);
  /// Of a connection request that is being handled, and nobody else's yet.
  CmId(CmEvents& events, rdma_cm_id* id) : events_(events), id_(id) {
    id->context = static_cast<CmEventHandler*>(this);
  }
  ~CmId();

  rdma_cm_id* get() const { return id_; }
  rdma_cm_id* operator->() const { return id_; }

  /// The next event; nothing when `deadline` comes first.
  std::optional<Event> Wait(Deadline deadline) ABSL_LOCKS_EXCLUDED(mutex_);
  /// From now on `handler` hears the events, beginning with those that wait. It outlives this object.
  void Forward(CmEventHandler& handler) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void OnCmEvent(const rdma_cm_event& event) override ABSL_LOCKS_EXCLUDED(mutex_);

  CmEvents& events_;
  rdma_cm_id* id_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Event> waiting_ ABSL_GUARDED_BY(mutex_);
  CmEventHandler* handler_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

/// Of the connections that come from this id. kInternal.
absl::Status SetTrafficClass(const CmId& id, std::uint8_t tclass);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_CM_ID_H_
