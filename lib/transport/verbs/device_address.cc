#include "lib/transport/verbs/device_address.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <vector>

namespace farfault {
namespace {

constexpr std::size_t kMostGids = 1024;

bool IsAsked(const ibv_gid_entry& entry, const VerbsChoice& choice) {
  // Version 1 of RoCE is no IP, but its table has the same addresses.
  if (entry.gid_type == IBV_GID_TYPE_IB) return false;
  if (!choice.gid && entry.gid_type != IBV_GID_TYPE_ROCE_V2) return false;
  if (choice.port && entry.port_num != *choice.port) return false;
  return !choice.gid || entry.gid_index == *choice.gid;
}

}  // namespace

SocketAddress AddressOfGid(const ibv_gid& gid, std::uint32_t interface) {
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  SocketAddress address;
  if (std::memcmp(gid.raw, kMapped.data(), kMapped.size()) == 0) {
    auto& in = reinterpret_cast<sockaddr_in&>(address.storage);
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, gid.raw + kMapped.size(), sizeof(in.sin_addr));
    address.length = sizeof(in);
    return address;
  }
  auto& in6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  in6.sin6_family = AF_INET6;
  std::memcpy(&in6.sin6_addr, gid.raw, sizeof(in6.sin6_addr));
  if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr)) in6.sin6_scope_id = interface;
  address.length = sizeof(in6);
  return address;
}

absl::StatusOr<SocketAddress> AddressOfDevice(ibv_context* device, const VerbsChoice& choice, int family) {
  std::vector<ibv_gid_entry> entries(kMostGids);
  const ssize_t count = ibv_query_gid_table(device, entries.data(), entries.size(), 0);
  entries.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  for (const ibv_gid_entry& entry : entries) {
    if (!IsAsked(entry, choice)) continue;
    SocketAddress address = AddressOfGid(entry.gid, entry.ndev_ifindex);
    if (address.family() == family) return address;
  }
  return absl::InvalidArgumentError(fmt::format(
      "RDMA device {}{}{} has no {} address for RoCE (`ibv_devinfo -v` shows its GIDs; they follow from the addresses "
      "of "
      "its network interface); devices of InfiniBand and iWARP are chosen by the address in the URL instead",
      ibv_get_device_name(device->device), choice.port ? fmt::format(", port {}", *choice.port) : "",
      choice.gid ? fmt::format(", GID {}", *choice.gid) : "", family == AF_INET ? "IPv4" : "IPv6"));
}

}  // namespace farfault
