#ifndef FARFAULT_LIB_TRANSPORT_VERBS_RDMA_HANDLES_H_
#define FARFAULT_LIB_TRANSPORT_VERBS_RDMA_HANDLES_H_

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include <memory>

namespace farfault {

template <auto kDestroy>
struct RdmaDeleter {
  template <typename Object>
  void operator()(Object* object) const {
    // What can fail is using an object that others still need, and the order of members rules that out; a device that
    // has been removed answers with errors, too, and has nothing left to destroy.
    static_cast<void>(kDestroy(object));
  }
};

struct FreeDevices {
  void operator()(ibv_context** devices) const { rdma_free_devices(devices); }
};
struct DestroyEventChannel {
  void operator()(rdma_event_channel* channel) const { rdma_destroy_event_channel(channel); }
};

/// A device that this side has opened itself.
using UniqueContext = std::unique_ptr<ibv_context, RdmaDeleter<&ibv_close_device>>;
using UniquePd = std::unique_ptr<ibv_pd, RdmaDeleter<&ibv_dealloc_pd>>;
using UniqueMr = std::unique_ptr<ibv_mr, RdmaDeleter<&ibv_dereg_mr>>;
using UniqueCq = std::unique_ptr<ibv_cq, RdmaDeleter<&ibv_destroy_cq>>;
using UniqueQp = std::unique_ptr<ibv_qp, RdmaDeleter<&ibv_destroy_qp>>;
using UniqueCompletionChannel = std::unique_ptr<ibv_comp_channel, RdmaDeleter<&ibv_destroy_comp_channel>>;
using UniqueEventChannel = std::unique_ptr<rdma_event_channel, DestroyEventChannel>;
/// Every RDMA device of the host, opened; none is closed while this lives, not even when it is removed.
using UniqueDeviceList = std::unique_ptr<ibv_context*, FreeDevices>;

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_VERBS_RDMA_HANDLES_H_
