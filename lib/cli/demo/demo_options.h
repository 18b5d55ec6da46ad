#ifndef FARFAULT_LIB_CLI_DEMO_DEMO_OPTIONS_H_
#define FARFAULT_LIB_CLI_DEMO_DEMO_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lib/cli/demo/method.h"

namespace farfault {

/// What the user asked of `farfault demo`.
struct DemoOptions {
  std::uint64_t bytes = std::uint64_t{1} << 30;
  std::vector<Method> methods = KnownMethods();
  std::string predictor = "bubbling";
  /// "tcp", or "verbs" or "sim" with properties of the device or the network after a '?'.
  std::string transport = "tcp";
  std::uint64_t seed = 1;
  /// Threads of the program; 0: as many as leave half of the cores to farfault.
  std::uint64_t threads = 0;
  bool anonymous = false;
  bool hugetlb = false;
  /// Bytes that pre-paging may send; 0: a third of the memory.
  std::uint64_t budget = 0;
  /// Without a push: how long only what the program touches is moved.
  absl::Duration demand_only = absl::Seconds(2);
  /// How long the program is watched once everything is at the destination.
  absl::Duration after = absl::Milliseconds(500);
  absl::Duration timeout = absl::Minutes(5);
  std::uint64_t corrupt = 0;
  /// Where a source of another host waits for this one's orders (tcp://HOST:PORT); empty: both are on this host.
  std::string source_host;
  bool json = false;
  std::string plot;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_DEMO_OPTIONS_H_
