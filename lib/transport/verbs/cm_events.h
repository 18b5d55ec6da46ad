#ifndef FARFAULT_LIB_TRANSPORT_VERBS_CM_EVENTS_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_CM_EVENTS_H_

#include <poll.h>
#include <rdma/rdma_cma.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "lib/transport/verbs/rdma_handles.h"
#include "lib/util/mutex.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// Who hears the events of one rdma_cm_id, whose `context` it is. Called by the events' thread.
class CmEventHandler {
 public:
  virtual void OnCmEvent(const rdma_cm_event& event) = 0;

 protected:
  ~CmEventHandler() = default;
};

/// Who hears what a device has to say of one ibv_qp, whose `qp_context` it is. Called by the events' thread.
class QueuePairHandler {
 public:
  virtual void OnQueuePairEvent(ibv_event_type event) = 0;

 protected:
  ~QueuePairHandler() = default;
};

/// Who hears what a device has to say of itself and its ports. Called by the events' thread; must not wait.
class DeviceHandler {
 public:
  virtual void OnDeviceEvent(const ibv_async_event& event) = 0;

 protected:
  ~DeviceHandler() = default;
};

/// One thread per process hears the connection manager and the devices, so that a channel learns of its peer's end, and
/// answers it, whether or not its owner polls; and polling needs no system call.
///
/// An event is acknowledged after its handler has returned, and rdma_destroy_id and ibv_destroy_qp wait for that: so a
/// handler that ends with its id or queue pair is never called too late.
class CmEvents {
 public:
  /// The one that is there, or a new one: there is none yet, or this thread may not use it, since its process was
  /// forked or its credentials have changed (see VerbsDevice). kNotFound when this host's kernel has no rdma_cm.
  static absl::StatusOr<std::shared_ptr<CmEvents>> Get();
  ~CmEvents();

  rdma_event_channel* channel() const { return channel_.get(); }
  /// rdma_destroy_id, from whichever thread may.
  void Destroy(rdma_cm_id* id) ABSL_LOCKS_EXCLUDED(mutex_);

  /// `handler` hears the device's own events until Unwatch.
  void Watch(ibv_context* device, DeviceHandler& handler) ABSL_LOCKS_EXCLUDED(mutex_);
  void Unwatch(ibv_context* device, DeviceHandler& handler) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  CmEvents(UniqueEventChannel channel, UniqueFd wake) : channel_(std::move(channel)), wake_(std::move(wake)) {}

  bool UsableHere() const;
  bool Forked() const { return process_ != getpid(); }
  void Run();
  std::vector<pollfd> Polled() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeCmEvents();
  void DestroyDoomed() ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeDeviceEvents() ABSL_LOCKS_EXCLUDED(mutex_);
  static void DispatchDevice(const ibv_async_event& event, const std::vector<DeviceHandler*>& handlers);
  void Wake();

  const UniqueEventChannel channel_;
  const UniqueFd wake_;
  const pid_t process_ = getpid();
  bool deaf_ = false;  // This thread may not read what the channel has. The events' thread only.
  Mutex mutex_;
  struct Watched {
    std::vector<DeviceHandler*> handlers;
    bool dead = false;  // Its descriptor has nothing but errors any more.
  };
  std::map<ibv_context*, Watched> devices_ ABSL_GUARDED_BY(mutex_);
  std::vector<rdma_cm_id*> doomed_ ABSL_GUARDED_BY(mutex_);
  CondVar destroyed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_CM_EVENTS_H_
