#include "lib/util/rdma_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "lib/util/soft_roce.h"

namespace farfault {
namespace {

// sysfs names the network interface of every GID (Documentation/ABI/stable/sysfs-class-infiniband).
std::set<std::string> RdmaInterfaces() {
  namespace fs = std::filesystem;
  std::set<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& device : fs::directory_iterator("/sys/class/infiniband", error)) {
    for (const fs::directory_entry& port : fs::directory_iterator(device.path() / "ports", error)) {
      for (const fs::directory_entry& gid : fs::directory_iterator(port.path() / "gid_attrs/ndevs", error)) {
        std::string name;
        // Entries without a GID cannot be read.
        if (std::ifstream(gid.path()) >> name) names.insert(name);
      }
    }
  }
  return names;
}

std::string AddressOf(const std::set<std::string>& interfaces) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return "";
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, &freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const bool fits = entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET;
    if (!fits || !interfaces.contains(entry->ifa_name)) continue;
    char text[INET_ADDRSTRLEN] = "";
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr, text, sizeof(text));
    return text;
  }
  return "";
}

}  // namespace

absl::StatusOr<std::string> OwnRdmaAddress() {
  const std::set<std::string> interfaces = RdmaInterfaces();
  if (interfaces.empty()) {
    return absl::NotFoundError(
        fmt::format("this machine has no RDMA device on a network interface (`rdma link` shows them): load the driver "
                    "of its adapter; {}",
                    SoftRoceRemedy(LookForSoftRoce())));
  }
  if (const char* const given = std::getenv("FARFAULT_ADDRESS"); given != nullptr && *given != '\0') return given;
  std::string address = AddressOf(interfaces);
  if (!address.empty()) return address;
  return absl::NotFoundError(fmt::format(
      "no network interface of an RDMA device ({}) has an IPv4 address: give one an address (ip address add "
      "… dev {}), or set FARFAULT_ADDRESS",
      fmt::join(interfaces, ", "), *interfaces.begin()));
}

}  // namespace farfault
