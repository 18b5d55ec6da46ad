#include "test/conformance/fabrics.h"

#include <utility>

#include "test/support/rdma.h"

namespace farfault {
namespace {

std::vector<Fabric> VerbsFabrics() {
  const std::string host = RequireRdmaAddress();
  const auto fabric = [&host](const std::string& name, const std::string& choice) {
    return Fabric{.name = name,
                  .listen_address = "verbs://" + host + ":0" + choice,
                  .unused_address = "verbs://" + host + ":1" + choice,
                  .services_differ = false,
                  .refuses_whole_messages = false};
  };
  // Each rail has a protection domain of its own, so that keys differ although the device is the same.
  Fabric rails = fabric("two rails over verbs", "");
  rails.listen_address += "?rail=" + host;
  rails.unused_address += "?rail=" + host + ":2";
  return {fabric("verbs", ""), fabric("verbs with one READ at a time and no inline data", "?reads=1&inline=0"), rails};
}

}  // namespace

std::vector<Fabric> ConformanceFabrics() {
  if (OverVerbs()) return VerbsFabrics();
  return {
      // Nobody can listen at port 1 by chance: it is privileged, and no service uses it.
      {.name = "tcp", .listen_address = "tcp://127.0.0.1:0", .unused_address = "tcp://127.0.0.1:1"},
      {.name = "tcp over IPv6", .listen_address = "tcp://[::1]:0", .unused_address = "tcp://[::1]:1"},
      {.name = "sim", .listen_address = "sim://conformance:0", .unused_address = "sim://conformance:1"},
      {.name = "sim with a slow wire",
       .listen_address = "sim://conformance-slow:0?latency=20us&bandwidth=10Gbps&jitter=10us",
       .unused_address = "sim://conformance-slow:1?latency=20us&bandwidth=10Gbps&jitter=10us"},
      {.name = "two rails over tcp",
       .listen_address = "tcp://127.0.0.1:0?rail=127.0.0.1",
       .unused_address = "tcp://127.0.0.1:1?rail=127.0.0.1:2"},
      {.name = "three rails over sim",
       .listen_address = "sim://rail-a:0?latency=10us&rail=rail-b&rail=rail-c",
       .unused_address = "sim://rail-a:1?latency=10us&rail=rail-b&rail=rail-c"},
  };
}

namespace {

// Time passes in virtual steps: whatever the ordering rules allow does happen.
std::vector<Fabric> VirtualFabrics() {
  if (OverVerbs()) return {};
  const auto fabric = [](const std::string& name, const SimLinkModel& wire) {
    return Fabric{
        .name = name, .listen_address = "", .unused_address = "", .services_differ = false, .virtual_wire = wire};
  };
  return {fabric("sim with a virtual clock", {.latency = 2'000, .bits_per_second = 25e9}),
          fabric("sim with a virtual clock, payload in pieces",
                 {.latency = 2'000, .jitter = 1'000, .landing_spread = 5'000, .seed = 7})};
}

}  // namespace

std::string Setup::name() const {
  const auto text = [](Service service) { return service == Service::kPolled ? "polled" : "thread"; };
  return fabric.name + ", initiator " + text(initiator) + ", target " + text(target);
}

std::vector<Setup> ConformanceSetups() {
  std::vector<Setup> setups;
  std::vector<Fabric> fabrics = ConformanceFabrics();
  for (Fabric& fabric : VirtualFabrics()) fabrics.push_back(std::move(fabric));
  for (const Fabric& fabric : fabrics) {
    if (!fabric.services_differ) {
      setups.push_back({fabric, Service::kPolled, Service::kThread});
      continue;
    }
    for (const Service initiator : {Service::kPolled, Service::kThread}) {
      for (const Service target : {Service::kPolled, Service::kThread}) setups.push_back({fabric, initiator, target});
    }
  }
  return setups;
}

}  // namespace farfault
