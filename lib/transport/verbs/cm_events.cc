#include "lib/transport/verbs/cm_events.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lib/transport/verbs/verbs_error.h"
#include "lib/util/deadline.h"
#include "lib/util/start_thread.h"

namespace farfault {
namespace {

bool MakeNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

void DispatchCm(const rdma_cm_event& event) {
  // A request comes with an id of its own, which nobody handles yet.
  const rdma_cm_id* const id = event.event == RDMA_CM_EVENT_CONNECT_REQUEST ? event.listen_id : event.id;
  static_cast<CmEventHandler*>(id->context)->OnCmEvent(event);
}

}  // namespace

absl::StatusOr<std::shared_ptr<CmEvents>> CmEvents::Get() {
  static Mutex mutex;
  static std::weak_ptr<CmEvents> shared;
  const MutexLock lock(&mutex);
  if (std::shared_ptr<CmEvents> there = shared.lock(); there != nullptr && there->UsableHere()) return there;
  UniqueEventChannel channel(rdma_create_event_channel());
  if (channel == nullptr) return NoConnectionManager(errno);
  UniqueFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.valid() || !MakeNonBlocking(channel->fd)) return RdmaError("RDMA events cannot be waited for", errno);
  std::shared_ptr<CmEvents> made(new CmEvents(std::move(channel), std::move(wake)));
  absl::StatusOr<std::thread> thread = StartThread("ff-rdma-events", [events = made.get()] { events->Run(); });
  if (!thread.ok()) return thread.status();
  made->thread_ = *std::move(thread);
  shared = made;
  return made;
}

CmEvents::~CmEvents() {
  if (!thread_.joinable()) return;
  if (Forked()) {
    // The thread is the other process's, and nothing but its handle is here.
    [[maybe_unused]] const std::thread* const left = std::make_unique<std::thread>(std::move(thread_)).release();
    return;
  }
  {
    const MutexLock lock(&mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
}

void CmEvents::Wake() {
  const std::uint64_t one = 1;
  // The counter cannot overflow, so this does not fail.
  static_cast<void>(!write(wake_.get(), &one, sizeof(one)));
}

bool CmEvents::UsableHere() const {
  rdma_cm_id* id = nullptr;
  if (rdma_create_id(channel_.get(), &id, nullptr, RDMA_PS_TCP) != 0) return errno != EACCES;
  rdma_destroy_id(id);
  return true;
}

void CmEvents::Destroy(rdma_cm_id* id) {
  if (rdma_destroy_id(id) == 0 || errno != EACCES || Forked()) return;
  // The credentials of this thread have changed, those of the events' thread have not: an event of an id that stayed
  // would find nobody.
  const MutexLock lock(&mutex_);
  doomed_.push_back(id);
  Wake();
  destroyed_.WaitUntil(&mutex_, Deadline::Never(), [this, id]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return std::find(doomed_.begin(), doomed_.end(), id) == doomed_.end();
  });
}

void CmEvents::DestroyDoomed() {
  const MutexLock lock(&mutex_);
  // It waits for nobody: this thread has acknowledged every event that it has read.
  for (rdma_cm_id* const id : doomed_) static_cast<void>(rdma_destroy_id(id));
  doomed_.clear();
  destroyed_.NotifyAll();
}

void CmEvents::Watch(ibv_context* device, DeviceHandler& handler) {
  const MutexLock lock(&mutex_);
  // Where it cannot be made so, events of the device are read only when poll has seen one.
  if (devices_[device].handlers.empty()) static_cast<void>(MakeNonBlocking(device->async_fd));
  devices_[device].handlers.push_back(&handler);
  Wake();
}

void CmEvents::Unwatch(ibv_context* device, DeviceHandler& handler) {
  const MutexLock lock(&mutex_);
  std::vector<DeviceHandler*>& handlers = devices_[device].handlers;
  std::erase(handlers, &handler);
  if (handlers.empty()) devices_.erase(device);
  Wake();  // Whoever polls a descriptor keeps the device open.
}

std::vector<pollfd> CmEvents::Polled() {
  const MutexLock lock(&mutex_);
  if (stop_) return {};
  std::vector<pollfd> polled{{wake_.get(), POLLIN, 0}};
  if (!deaf_) polled.push_back({channel_->fd, POLLIN, 0});
  for (const auto& [device, watched] : devices_) {
    if (!watched.dead) polled.push_back({device->async_fd, POLLIN, 0});
  }
  return polled;
}

void CmEvents::Run() {
  for (std::vector<pollfd> polled = Polled(); !polled.empty(); polled = Polled()) {
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    std::uint64_t wakes;
    static_cast<void>(!read(wake_.get(), &wakes, sizeof(wakes)));
    TakeCmEvents();
    TakeDeviceEvents();
    DestroyDoomed();
  }
}

void CmEvents::TakeCmEvents() {
  rdma_cm_event* event = nullptr;
  while (rdma_get_cm_event(channel_.get(), &event) == 0) {
    DispatchCm(*event);
    rdma_ack_cm_event(event);
  }
  // Otherwise the channel would stay readable, and this thread awake.
  deaf_ = errno == EACCES;
}

void CmEvents::DispatchDevice(const ibv_async_event& event, const std::vector<DeviceHandler*>& handlers) {
  switch (event.event_type) {
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
      static_cast<QueuePairHandler*>(event.element.qp->qp_context)->OnQueuePairEvent(event.event_type);
      break;
    case IBV_EVENT_DEVICE_FATAL:
    case IBV_EVENT_PORT_ACTIVE:
    case IBV_EVENT_PORT_ERR:
      for (DeviceHandler* const handler : handlers) handler->OnDeviceEvent(event);
      break;
    default:
      break;
  }
}

void CmEvents::TakeDeviceEvents() {
  // Held meanwhile, so that no device ends.
  const MutexLock lock(&mutex_);
  for (auto& [device, watched] : devices_) {
    pollfd ready{device->async_fd, POLLIN, 0};
    ibv_async_event event{};
    while (poll(&ready, 1, 0) == 1 && ibv_get_async_event(device, &event) == 0) {
      DispatchDevice(event, watched.handlers);
      ibv_ack_async_event(&event);
    }
    watched.dead = (ready.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  }
}

}  // namespace farfault
