#include "lib/util/soft_roce.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <filesystem>
#include <fstream>
#include <system_error>

namespace farfault {
namespace {

namespace fs = std::filesystem;

std::string KernelRelease() {
  utsname name{};
  return uname(&name) == 0 ? name.release : "unknown";
}

bool HasModule(const std::string& kernel) {
  std::error_code ignored;
  return fs::exists("/sys/module/rdma_rxe", ignored) ||
         fs::exists(fmt::format("/lib/modules/{}/kernel/drivers/infiniband/sw/rxe", kernel), ignored);
}

std::string FirstWord(const fs::path& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

std::string InterfaceThatIsUp() {
  std::error_code error;
  std::string found;
  for (fs::directory_iterator at("/sys/class/net", error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename();
    if (name != "lo" && FirstWord(at->path() / "operstate") == "up" && (found.empty() || name < found)) found = name;
  }
  return found;
}

}  // namespace

SoftRoce LookForSoftRoce() {
  const std::string kernel = KernelRelease();
  return {.kernel = kernel, .has_module = HasModule(kernel), .network_interface = InterfaceThatIsUp()};
}

std::string SoftRoceRemedy(const SoftRoce& here) {
  if (!here.has_module) {
    return fmt::format(
        "without an RDMA adapter, SoftRoCE does it in software, but its module rdma_rxe is not there for kernel {}: "
        "install and boot linux-image-amd64 (the cloud kernels lack it), or try it in a virtual machine: ./dev vm -- "
        "farfault doctor, in farfault's sources",
        here.kernel);
  }
  const std::string make =
      "without an RDMA adapter, do it in software: modprobe rdma_rxe && rdma link add rxe0 type "
      "rxe netdev ";
  if (!here.network_interface.empty()) return make + here.network_interface;
  return make + "NAME, where NAME is the network interface (`ip link` shows them)";
}

}  // namespace farfault
