#include "test/conformance/fabrics.h"

namespace farfault {

std::vector<Fabric> ConformanceFabrics() {
  return {
      // Nobody can listen at port 1 by chance: it is privileged, and no service uses it.
      {.name = "tcp", .listen_address = "tcp://127.0.0.1:0", .unused_address = "tcp://127.0.0.1:1"},
      {.name = "tcp over IPv6", .listen_address = "tcp://[::1]:0", .unused_address = "tcp://[::1]:1"},
      {.name = "sim", .listen_address = "sim://conformance:0", .unused_address = "sim://conformance:1"},
      {.name = "sim with a slow wire",
       .listen_address = "sim://conformance-slow:0?latency=20us&bandwidth=10Gbps&jitter=10us",
       .unused_address = "sim://conformance-slow:1?latency=20us&bandwidth=10Gbps&jitter=10us"},
  };
}

std::string Setup::name() const {
  const auto text = [](Service service) { return service == Service::kPolled ? "polled" : "thread"; };
  return fabric.name + ", initiator " + text(initiator) + ", target " + text(target);
}

std::vector<Setup> ConformanceSetups() {
  std::vector<Setup> setups;
  for (const Fabric& fabric : ConformanceFabrics()) {
    for (const Service initiator : {Service::kPolled, Service::kThread}) {
      for (const Service target : {Service::kPolled, Service::kThread}) setups.push_back({fabric, initiator, target});
    }
  }
  return setups;
}

}  // namespace farfault
