#ifndef FARFAULT_TEST_CONFORMANCE_FABRICS_H_
#define FARFAULT_TEST_CONFORMANCE_FABRICS_H_

#include <optional>
#include <string>
#include <vector>

#include "lib/transport/sim/sim_link_model.h"
#include "lib/transport/transport.h"

namespace farfault {

/// A transport that has to pass the suite. One line in fabrics.cc adds one.
struct Fabric {
  std::string name;
  /// Where a listener can be opened, any number of times over. What it then calls itself is where to connect.
  std::string listen_address;
  /// Where nobody listens.
  std::string unused_address;
  /// Whether it makes a difference to the transport how a channel is served.
  bool services_differ = true;
  /// Whether a message that is too long for its receive leaves the whole buffer as it was. On a queue pair its first
  /// packets have landed by the time that the receive turns out to be too short.
  bool refuses_whole_messages = true;
  /// The wire of a sim fabric with a virtual clock; it has no listeners, and so no addresses.
  std::optional<SimLinkModel> virtual_wire = std::nullopt;
};

/// Those that run on any machine; with FARFAULT_FABRICS=verbs in the environment those that need an RDMA device.
/// Without one the test case is skipped, or fails where it is expected (FARFAULT_REQUIRE_VERBS=1). All have listeners.
std::vector<Fabric> ConformanceFabrics();

/// A fabric, and how each end of a channel is served.
struct Setup {
  Fabric fabric;
  Service initiator = Service::kPolled;
  Service target = Service::kPolled;

  std::string name() const;
};

/// Every fabric, those without listeners too, with all four combinations of services, as far as they differ.
std::vector<Setup> ConformanceSetups();

}  // namespace farfault

#endif  // FARFAULT_TEST_CONFORMANCE_FABRICS_H_
