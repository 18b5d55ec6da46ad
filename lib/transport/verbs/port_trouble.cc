#include "lib/transport/verbs/port_trouble.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>

namespace farfault {
namespace {

std::string InterfaceOf(const ibv_context* device, std::uint32_t port) {
  std::string name;
  std::getline(std::ifstream(fmt::format("{}/ports/{}/gid_attrs/ndevs/0", device->device->ibdev_path, port)) >> std::ws,
               name);
  return name;
}

std::string Remedy(ibv_port_state state, bool ethernet, std::string_view interface) {
  if (ethernet) {
    return fmt::format("ip link set {} up, and check the cable and the switch",
                       interface.empty() ? "INTERFACE" : interface);
  }
  return state == IBV_PORT_INIT || state == IBV_PORT_ARMED
             ? "a subnet manager has to bring it up (opensm, or the switch's)"
             : "check the cable and the switch";
}

}  // namespace

std::string PortTroubleText(std::string_view device, std::uint32_t port, ibv_port_state state, bool ethernet,
                            std::string_view interface) {
  if (state == IBV_PORT_ACTIVE || state == IBV_PORT_ACTIVE_DEFER) return {};
  const std::string word =
      state == IBV_PORT_DOWN ? "down" : fmt::format("not active (\"{}\")", ibv_port_state_str(state));
  return fmt::format("port {} of this host's RDMA device {} is {}: {}", port, device, word,
                     Remedy(state, ethernet, interface));
}

std::string PortTrouble(ibv_context* device, std::uint32_t port) {
  const char* const name = ibv_get_device_name(device->device);
  if (IsRemoved(device)) return RemovedText(name);
  ibv_port_attr attributes{};
  if (ibv_query_port(device, static_cast<std::uint8_t>(port), &attributes) != 0) return {};
  return PortTroubleText(name, port, attributes.state, attributes.link_layer == IBV_LINK_LAYER_ETHERNET,
                         InterfaceOf(device, port));
}

bool IsRemoved(const ibv_context* device) { return access(device->device->dev_path, F_OK) != 0; }

std::string RemovedText(std::string_view device) {
  return fmt::format(
      "RDMA device {} was removed from this host: bring it back (load its driver; one in software: rdma link add {} "
      "type rxe netdev INTERFACE), and start again",
      device, device);
}

}  // namespace farfault
