#include "lib/cli/doctor/host_facts.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "lib/fault/userfaultfd.h"
#include "lib/prepage/pagemap.h"
#include "lib/util/unique_fd.h"

namespace farfault {
namespace {

namespace fs = std::filesystem;

std::string FirstLine(const fs::path& path) {
  std::string line;
  std::getline(std::ifstream(path) >> std::ws, line);
  return line;
}

std::uint64_t TotalMemory() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_size = sysconf(_SC_PAGESIZE);
  return pages < 0 || page_size < 0 ? 0 : static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_size);
}

std::optional<std::uint64_t> LockedMemoryLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  // CAP_IPC_LOCK lifts the limit, as root has it.
  if (geteuid() == 0) return std::nullopt;
  return limit.rlim_cur;
}

int OpenError(const char* path) {
  const UniqueFd fd(open(path, O_RDWR | O_CLOEXEC));
  return fd.valid() ? 0 : errno;
}

}  // namespace

HostFacts GatherHostFacts() {
  HostFacts facts;
  facts.memory = TotalMemory();
  facts.locked_memory_limit = LockedMemoryLimit();
  const auto features = Userfaultfd::KernelFeatures();
  facts.userfaultfd = features.status();
  if (features.ok()) facts.userfaultfd_features = *features;
  facts.pagemap_scan = Pagemap::OpenSelf().status();
  std::error_code ignored;
  facts.transparent_huge_pages = fs::exists("/sys/kernel/mm/transparent_hugepage", ignored);
  const std::string free = FirstLine("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  facts.free_huge_pages = std::strtoull(free.c_str(), nullptr, 10);
#ifdef FARFAULT_HAVE_VERBS
  facts.built_with_verbs = true;
#endif
  facts.connection_manager_error = OpenError("/dev/infiniband/rdma_cm");
  facts.soft_roce = LookForSoftRoce();
  facts.kernel = facts.soft_roce.kernel;
  facts.rdma_devices = GatherRdmaDevices();
  return facts;
}

}  // namespace farfault
