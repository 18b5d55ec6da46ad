#include "test/support/rdma.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string_view>

namespace farfault {
namespace {

// Network interfaces of the RDMA devices: sysfs names one for every GID (Documentation/ABI/stable/sysfs-class-infiniband).
std::set<std::string> RdmaInterfaces() {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& device : std::filesystem::directory_iterator("/sys/class/infiniband", error)) {
    for (const auto& port : std::filesystem::directory_iterator(device.path() / "ports", error)) {
      for (const auto& gid : std::filesystem::directory_iterator(port.path() / "gid_attrs/ndevs", error)) {
        std::string name;
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

std::string RequireRdmaAddress() {
  const std::set<std::string> interfaces = RdmaInterfaces();
  const char* const given = std::getenv("FARFAULT_ADDRESS");
  const std::string address = given != nullptr ? given : AddressOf(interfaces);
  if (!interfaces.empty() && !address.empty()) return address;
  const char* const required = std::getenv("FARFAULT_REQUIRE_VERBS");
  const std::string reason = interfaces.empty() ? "this machine has no RDMA device: ./dev vm makes one that has"
                                                : "no network interface of an RDMA device has an IPv4 address";
  if (required != nullptr && std::string_view(required) == "1") FAIL(reason);
  SKIP(reason);
  std::abort();  // Both have thrown.
}

}  // namespace farfault
