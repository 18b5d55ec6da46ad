#include "lib/cli/doctor/host_facts.h"

#ifdef FARFAULT_HAVE_VERBS
#include <arpa/inet.h>
#include <infiniband/verbs.h>
#include <net/if.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "lib/transport/verbs/on_demand.h"
#endif

namespace farfault {

#ifndef FARFAULT_HAVE_VERBS

std::vector<RdmaDeviceFacts> GatherRdmaDevices() { return {}; }

#else

namespace {

struct CloseDevice {
  void operator()(ibv_context* context) const { static_cast<void>(ibv_close_device(context)); }
};
struct FreeDeviceList {
  void operator()(ibv_device** devices) const { ibv_free_device_list(devices); }
};

std::string AddressText(const ibv_gid& gid) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const auto* const address = reinterpret_cast<const in6_addr*>(gid.raw);
  if (IN6_IS_ADDR_V4MAPPED(address)) {
    inet_ntop(AF_INET, gid.raw + 12, text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, gid.raw, text.data(), text.size());
  }
  return text.data();
}

std::string KindText(std::uint32_t type) {
  switch (type) {
    case IBV_GID_TYPE_IB:
      return "InfiniBand";
    case IBV_GID_TYPE_ROCE_V1:
      return "RoCE v1";
    case IBV_GID_TYPE_ROCE_V2:
      return "RoCE v2";
    default:
      return "unknown";
  }
}

std::string InterfaceText(std::uint32_t index) {
  std::array<char, IF_NAMESIZE> name{};
  return index != 0 && if_indextoname(index, name.data()) != nullptr ? name.data() : "";
}

GidFacts Describe(const ibv_gid_entry& entry) {
  return {.index = entry.gid_index,
          .address = AddressText(entry.gid),
          .kind = KindText(entry.gid_type),
          .interface = InterfaceText(entry.ndev_ifindex),
          .link_local = IN6_IS_ADDR_LINKLOCAL(reinterpret_cast<const in6_addr*>(entry.gid.raw)) != 0};
}

std::vector<ibv_gid_entry> GidsOf(ibv_context* context, std::size_t most) {
  std::vector<ibv_gid_entry> entries(most);
  const ssize_t count = ibv_query_gid_table(context, entries.data(), entries.size(), 0);
  entries.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return entries;
}

std::vector<RdmaPortFacts> PortsOf(ibv_context* context, std::uint32_t count) {
  std::vector<RdmaPortFacts> ports;
  std::size_t most_gids = 0;
  for (std::uint32_t number = 1; number <= count; ++number) {
    ibv_port_attr attributes{};
    if (ibv_query_port(context, static_cast<std::uint8_t>(number), &attributes) != 0) continue;
    most_gids += static_cast<std::size_t>(attributes.gid_tbl_len);
    ports.push_back({.number = number,
                     .active = attributes.state == IBV_PORT_ACTIVE,
                     .state = ibv_port_state_str(attributes.state),
                     .link_layer = attributes.link_layer == IBV_LINK_LAYER_ETHERNET ? "Ethernet" : "InfiniBand",
                     // Enumerated as powers of two from 256 = 1.
                     .mtu = 128u << attributes.active_mtu,
                     .gids = {}});
  }
  for (const ibv_gid_entry& entry : GidsOf(context, most_gids)) {
    for (RdmaPortFacts& port : ports) {
      if (port.number == entry.port_num) port.gids.push_back(Describe(entry));
    }
  }
  return ports;
}

RdmaDeviceFacts Describe(ibv_device* device) {
  RdmaDeviceFacts facts;
  facts.name = ibv_get_device_name(device);
  const std::unique_ptr<ibv_context, CloseDevice> context(ibv_open_device(device));
  ibv_device_attr_ex attributes{};
  if (context == nullptr) {
    facts.open_error = errno != 0 ? errno : EIO;
    return facts;
  }
  if (const int error = ibv_query_device_ex(context.get(), nullptr, &attributes); error != 0) {
    facts.open_error = error;
    return facts;
  }
  facts.reads_asked = static_cast<std::uint32_t>(attributes.orig_attr.max_qp_init_rd_atom);
  facts.reads_served = static_cast<std::uint32_t>(attributes.orig_attr.max_qp_rd_atom);
  facts.longest_memory = attributes.orig_attr.max_mr_size;
  facts.on_demand_paging = HasOnDemandPaging(attributes.odp_caps);
  facts.ports = PortsOf(context.get(), attributes.orig_attr.phys_port_cnt);
  return facts;
}

}  // namespace

std::vector<RdmaDeviceFacts> GatherRdmaDevices() {
  std::vector<RdmaDeviceFacts> facts;
  int count = 0;
  const std::unique_ptr<ibv_device*, FreeDeviceList> devices(ibv_get_device_list(&count));
  for (int i = 0; devices != nullptr && i < count; ++i) facts.push_back(Describe(devices.get()[i]));
  return facts;
}

#endif

}  // namespace farfault
