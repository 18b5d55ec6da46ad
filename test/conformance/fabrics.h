#ifndef FARFAULT_TEST_CONFORMANCE_FABRICS_H_
#define FARFAULT_TEST_CONFORMANCE_FABRICS_H_

#include <string>
#include <vector>

#include "lib/transport/transport.h"

namespace farfault {

/// A transport that has to pass the suite. One line in fabrics.cc adds one.
struct Fabric {
  std::string name;
  /// Where a listener can be opened, any number of times over. What it then calls itself is where to connect.
  std::string listen_address;
  /// Where nobody listens.
  std::string unused_address;
};

std::vector<Fabric> ConformanceFabrics();

/// A fabric, and how each end of a channel is served.
struct Setup {
  Fabric fabric;
  Service initiator = Service::kPolled;
  Service target = Service::kPolled;

  std::string name() const;
};

/// Every fabric with all four combinations of services.
std::vector<Setup> ConformanceSetups();

}  // namespace farfault

#endif  // FARFAULT_TEST_CONFORMANCE_FABRICS_H_
