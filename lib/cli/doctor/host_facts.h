#ifndef FARFAULT_LIB_CLI_DOCTOR_HOST_FACTS_H_
#define FARFAULT_LIB_CLI_DOCTOR_HOST_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/util/soft_roce.h"

// What this machine is and has, as far as farfault needs it; without judgement (see diagnosis.h).
namespace farfault {

struct GidFacts {
  std::uint32_t index = 0;
  std::string address;    ///< "10.9.0.1" for an IPv4-mapped one, otherwise as IPv6.
  std::string kind;       ///< "InfiniBand", "RoCE v1", "RoCE v2".
  std::string interface;  ///< Network interface; empty on InfiniBand.
  bool link_local = false;
};

struct RdmaPortFacts {
  std::uint32_t number = 0;
  bool active = false;
  std::string state;       ///< The driver's word: "PORT_DOWN".
  std::string link_layer;  ///< "Ethernet", "InfiniBand".
  std::uint32_t mtu = 0;   ///< Bytes of payload per packet.
  std::vector<GidFacts> gids;
};

struct RdmaDeviceFacts {
  std::string name;
  int open_error = 0;                ///< errno; the rest is unknown then.
  std::uint32_t reads_asked = 0;     ///< READs that a queue pair may have on their way,
  std::uint32_t reads_served = 0;    ///< and those that it serves at once for the peer.
  std::uint64_t longest_memory = 0;  ///< Of one registration, bytes.
  bool on_demand_paging = false;
  std::vector<RdmaPortFacts> ports;
};

struct HostFacts {
  std::string kernel;  ///< "6.12.0-amd64".
  std::uint64_t memory = 0;
  std::optional<std::uint64_t> locked_memory_limit;  ///< Bytes; none: unlimited.

  absl::Status userfaultfd;
  std::uint64_t userfaultfd_features = 0;
  absl::Status pagemap_scan;
  bool transparent_huge_pages = false;
  std::uint64_t free_huge_pages = 0;  ///< Of hugetlbfs, 2 MiB each.

  bool built_with_verbs = false;
  int connection_manager_error = 0;  ///< errno of opening /dev/infiniband/rdma_cm.
  SoftRoce soft_roce;
  std::vector<RdmaDeviceFacts> rdma_devices;
};

HostFacts GatherHostFacts();

/// Part of the above; empty in a build without verbs.
std::vector<RdmaDeviceFacts> GatherRdmaDevices();

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DOCTOR_HOST_FACTS_H_
