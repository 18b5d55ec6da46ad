#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_DEVICE_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_DEVICE_H_

#include <infiniband/verbs.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "lib/transport/verbs/cm_events.h"
#include "lib/transport/verbs/rdma_handles.h"
#include "lib/util/mutex.h"

namespace farfault {

/// An RDMA device with the protection domain that memory and queue pairs of one Transport share. Thread-safe.
///
/// It is opened for this transport alone. The kernel takes requests only from threads with the very credentials that
/// have opened the device (ib_safe_file_access), which a forked process has not, nor has a thread that has changed its
/// own since; and what librdmacm has opened it keeps for as long as the process lives.
class VerbsDevice final : private DeviceHandler {
 public:
  /// `events` outlives this object.
  static absl::StatusOr<std::unique_ptr<VerbsDevice>> Open(ibv_device* device, CmEvents& events);
  ~VerbsDevice() { events_.Unwatch(context(), *this); }

  std::string_view name() const { return ibv_get_device_name(context_->device); }
  ibv_context* context() const { return context_.get(); }
  ibv_pd* domain() const { return domain_.get(); }
  const ibv_device_attr& attributes() const { return attributes_; }

  /// Channels go through this port.
  void Use(std::uint8_t port) ABSL_LOCKS_EXCLUDED(mutex_);
  /// See Transport::Trouble: none while a port works that is used, or that could be. Asks the device only when there is
  /// news of it.
  std::string Trouble() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  VerbsDevice(UniqueContext context, CmEvents& events, UniquePd domain, const ibv_device_attr& attributes)
      : context_(std::move(context)), events_(events), domain_(std::move(domain)), attributes_(attributes) {
    events_.Watch(this->context(), *this);
  }

  void OnDeviceEvent(const ibv_async_event&) override { news_.store(true, std::memory_order_release); }

  const UniqueContext context_;
  CmEvents& events_;
  const UniquePd domain_;
  const ibv_device_attr attributes_;
  std::atomic<bool> news_ = true;
  Mutex mutex_;
  std::set<std::uint8_t> used_ ABSL_GUARDED_BY(mutex_);
  std::string trouble_ ABSL_GUARDED_BY(mutex_);
};

/// What is wrong with all of these ports, told of the first; empty while one of them works.
std::string TroubleOf(ibv_context* device, const std::set<std::uint8_t>& ports);
std::set<std::uint8_t> PortsOf(const ibv_device_attr& device);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_DEVICE_H_
