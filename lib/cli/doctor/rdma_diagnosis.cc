#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "lib/cli/doctor/diagnosis.h"
#include "lib/cli/terminal/units.h"
#include "lib/transport/transport.h"

namespace farfault {
namespace {

Finding DiagnoseConnectionManager(const HostFacts& facts) {
  constexpr const char* kWhat = "RDMA connections";
  switch (facts.connection_manager_error) {
    case 0:
      return {Verdict::kGood, kWhat, "the connection manager may be used", ""};
    case EACCES:
    case EPERM:
      return {Verdict::kMissing, kWhat, "this user may not open /dev/infiniband/rdma_cm",
              "run as root, or: chmod a+rw /dev/infiniband/rdma_cm"};
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return {Verdict::kMissing, kWhat, "the kernel's connection manager is not loaded (no /dev/infiniband/rdma_cm)",
              "modprobe rdma_ucm"};
    default:
      return {
          Verdict::kMissing, kWhat,
          fmt::format("/dev/infiniband/rdma_cm cannot be opened: {}", std::strerror(facts.connection_manager_error)),
          "dmesg may say why"};
  }
}

Finding DiagnoseLockedMemory(const HostFacts& facts) {
  constexpr const char* kWhat = "locked memory";
  if (!facts.locked_memory_limit) return {Verdict::kGood, kWhat, "unlimited", ""};
  return {
      Verdict::kMissing, kWhat,
      fmt::format("registered memory is locked, and this user may lock {} of the machine's {}; a session needs as much "
                  "as its guest memory, for each rail anew",
                  FormatBytes(*facts.locked_memory_limit), FormatBytes(facts.memory)),
      "ulimit -l unlimited (limits.conf: memlock), or LimitMEMLOCK=infinity in the systemd unit"};
}

Finding DiagnosePort(const RdmaDeviceFacts& device, const RdmaPortFacts& port) {
  const std::string what = fmt::format("{} port {}", device.name, port.number);
  const auto usable =
      std::find_if(port.gids.begin(), port.gids.end(), [](const GidFacts& gid) { return !gid.link_local; });
  const std::string interface = port.gids.empty() ? "" : port.gids.front().interface;
  if (!port.active) {
    return {Verdict::kMissing, what, fmt::format("{}, {}", port.link_layer, port.state),
            port.link_layer == "Ethernet" ? fmt::format("ip link set {} up; is the cable in, and the switch's port on?",
                                                        interface.empty() ? "NAME" : interface)
                                          : "check the cable, and that a subnet manager runs (opensm)"};
  }
  if (usable == port.gids.end()) {
    return {Verdict::kMissing, what,
            fmt::format("{}, active, but without an address that a route could lead to", port.link_layer),
            fmt::format("ip address add 192.0.2.1/24 dev {} (an address of your network)",
                        interface.empty() ? "NAME" : interface)};
  }
  std::string addresses;
  for (const GidFacts& gid : port.gids) {
    if (gid.link_local && usable != port.gids.end()) continue;
    addresses += fmt::format("{}{} (GID {}, {})", addresses.empty() ? "" : ", ", gid.address, gid.index, gid.kind);
  }
  std::string text = fmt::format("{}{}{}, active, MTU {}: {}", port.link_layer, interface.empty() ? "" : " over ",
                                 interface, port.mtu, addresses);
  if (port.link_layer != "Ethernet" || port.mtu >= 4096) return {Verdict::kGood, what, std::move(text), ""};
  return {Verdict::kNote, what, std::move(text),
          fmt::format("a page in one packet needs an RDMA MTU of 4096: ip link set {} mtu 9000, on switches too",
                      interface.empty() ? "NAME" : interface)};
}

Finding DiagnoseDevice(const RdmaDeviceFacts& device) {
  const std::string what = fmt::format("RDMA device {}", device.name);
  if (device.open_error == EACCES || device.open_error == EPERM) {
    return {Verdict::kMissing, what, "this user may not open it",
            "run as root, or: chmod a+rw /dev/infiniband/uverbs*"};
  }
  if (device.open_error != 0) {
    return {Verdict::kMissing, what, fmt::format("cannot be opened: {}", std::strerror(device.open_error)),
            "modprobe ib_uverbs; dmesg may say more"};
  }
  std::string text = fmt::format("{} READs at once, {} served; {} on-demand paging", device.reads_asked,
                                 device.reads_served, device.on_demand_paging ? "has" : "no");
  if (std::min(device.reads_asked, device.reads_served) > 1) return {Verdict::kGood, what, std::move(text), ""};
  return {Verdict::kNote, what, std::move(text), "one READ at a time: use more demand channels (demand_channels)"};
}

// The address that a session writes for a port: on InfiniBand a GID is none.
std::string AddressOf(const RdmaPortFacts& port) {
  const auto usable =
      std::find_if(port.gids.begin(), port.gids.end(), [](const GidFacts& gid) { return !gid.link_local; });
  if (!port.active || port.link_layer != "Ethernet" || usable == port.gids.end()) return {};
  return usable->address.find(':') == std::string::npos ? usable->address : fmt::format("[{}]", usable->address);
}

void DiagnoseRails(const HostFacts& facts, std::vector<Finding>& findings) {
  std::string address;
  std::size_t ports = 0;
  for (const RdmaDeviceFacts& device : facts.rdma_devices) {
    for (const RdmaPortFacts& port : device.ports) {
      const std::string own = AddressOf(port);
      if (own.empty() || ports == kMaxRails) continue;
      address +=
          ports == 0 ? fmt::format("verbs://{}:7000", own) : fmt::format("{}rail={}", ports == 1 ? '?' : '&', own);
      ++ports;
    }
  }
  if (ports < 2) return;
  findings.push_back({Verdict::kGood, "RDMA rails",
                      fmt::format("{} ports can carry one session, if the peer has as many: {}", ports, address), ""});
}

}  // namespace

bool DiagnoseRdma(const HostFacts& facts, std::vector<Finding>& findings) {
  if (!facts.built_with_verbs) {
    findings.push_back({Verdict::kMissing, "RDMA", "this farfault was built without verbs",
                        "install libibverbs-dev and librdmacm-dev, and build with -DFARFAULT_WITH_VERBS=ON"});
    return false;
  }
  if (facts.rdma_devices.empty()) {
    findings.push_back({Verdict::kMissing, "RDMA device", "there is none", SoftRoceRemedy(facts.soft_roce)});
    return false;
  }
  bool usable_port = false;
  for (const RdmaDeviceFacts& device : facts.rdma_devices) {
    findings.push_back(DiagnoseDevice(device));
    for (const RdmaPortFacts& port : device.ports) {
      findings.push_back(DiagnosePort(device, port));
      usable_port |= findings.back().verdict != Verdict::kMissing;
    }
  }
  DiagnoseRails(facts, findings);
  findings.push_back(DiagnoseConnectionManager(facts));
  const bool connects = findings.back().verdict == Verdict::kGood;
  findings.push_back(DiagnoseLockedMemory(facts));
  return usable_port && connects && findings.back().verdict == Verdict::kGood;
}

}  // namespace farfault
