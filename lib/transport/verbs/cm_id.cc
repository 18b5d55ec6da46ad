#include "lib/transport/verbs/cm_id.h"

#include <fmt/format.h>

#include <cassert>
#include <cerrno>
#include <utility>

#include "lib/transport/verbs/verbs_error.h"
#include "lib/util/deadline.h"

namespace farfault {

absl::StatusOr<std::unique_ptr<CmId>> CmId::Create(CmEvents& events) {
  rdma_cm_id* id = nullptr;
  if (rdma_create_id(events.channel(), &id, nullptr, RDMA_PS_TCP) != 0) {
    return RdmaError("the kernel's connection manager (rdma_cm) has no room for another connection", errno);
  }
  return std::make_unique<CmId>(events, id);
}

CmId::~CmId() { events_.Destroy(id_); }

void CmId::OnCmEvent(const rdma_cm_event& event) {
  const MutexLock lock(&mutex_);
  if (handler_ != nullptr) {
    handler_->OnCmEvent(event);
    return;
  }
  assert(event.event != RDMA_CM_EVENT_CONNECT_REQUEST);  // It has an id of its own, which would be lost.
  Event& kept = waiting_.emplace_back(Event{event.event, event.status, {}});
  const rdma_conn_param& connection = event.param.conn;
  if (connection.private_data != nullptr) {
    const auto* const data = static_cast<const std::byte*>(connection.private_data);
    kept.private_data.assign(data, data + connection.private_data_len);
  }
  changed_.NotifyAll();
}

std::optional<CmId::Event> CmId::Wait(Deadline deadline) {
  const MutexLock lock(&mutex_);
  const bool came =
      changed_.WaitUntil(&mutex_, deadline, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !waiting_.empty(); });
  if (!came) return std::nullopt;
  Event event = std::move(waiting_.front());
  waiting_.pop_front();
  return event;
}

void CmId::Forward(CmEventHandler& handler) {
  const MutexLock lock(&mutex_);
  handler_ = &handler;
  for (const Event& event : std::exchange(waiting_, {})) {
    rdma_cm_event again{};
    again.id = id_;
    again.event = event.type;
    again.status = event.status;
    handler.OnCmEvent(again);
  }
}

absl::Status SetTrafficClass(const CmId& id, std::uint8_t tclass) {
  if (rdma_set_option(id.get(), RDMA_OPTION_ID, RDMA_OPTION_ID_TOS, &tclass, sizeof(tclass)) == 0) {
    return absl::OkStatus();
  }
  return RdmaError(fmt::format("the traffic class {} cannot be set", tclass), errno);
}

}  // namespace farfault
