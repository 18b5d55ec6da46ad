#ifndef FARFAULT_LIB_TRANSPORT_VERBS_VERBS_DEVICE_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_VERBS_DEVICE_H_

#include <infiniband/verbs.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "lib/transport/verbs/cm_events.h"
#include "lib/transport/verbs/rdma_handles.h"

namespace farfault {

/// An RDMA device with the protection domain that memory and queue pairs of one Transport share.
class VerbsDevice {
 public:
  /// `context` and `events` outlive this object.
  static absl::StatusOr<std::unique_ptr<VerbsDevice>> Open(ibv_context* context, CmEvents& events);
  ~VerbsDevice() { events_.Unwatch(context_); }

  std::string_view name() const { return ibv_get_device_name(context_->device); }
  ibv_context* context() const { return context_; }
  ibv_pd* domain() const { return domain_.get(); }
  const ibv_device_attr& attributes() const { return attributes_; }

 private:
  VerbsDevice(ibv_context* context, CmEvents& events, UniquePd domain, const ibv_device_attr& attributes)
      : context_(context), events_(events), domain_(std::move(domain)), attributes_(attributes) {
    events_.Watch(context_);
  }

  ibv_context* const context_;
  CmEvents& events_;
  const UniquePd domain_;
  const ibv_device_attr attributes_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_VERBS_DEVICE_H_
