#include <fcntl.h>
#include <fmt/format.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "farfault/guest_memory.h"
#include "lib/util/mapping.h"
#include "lib/util/unique_fd.h"
#include "lib/util/whole_pages.h"

namespace farfault {
namespace {

absl::Status CheckShape(const std::string& name, std::uint64_t length, const OwnedRegion::Placement& placement) {
  if (placement.page_size != kSmallPage && placement.page_size != kHugePage) {
    return absl::InvalidArgumentError(fmt::format("memory '{}': a page size of {} is not supported; use {} or {}", name,
                                                  placement.page_size, kSmallPage, kHugePage));
  }
  if (length == 0 || length % placement.page_size != 0) {
    return absl::InvalidArgumentError(fmt::format(
        "memory '{}': its length {} is not a multiple of its page size {} or is 0; round the length up to {}", name,
        length, placement.page_size, RoundUpToPages(length, placement.page_size)));
  }
  if (reinterpret_cast<std::uint64_t>(placement.fixed_address) % placement.page_size != 0) {
    return absl::InvalidArgumentError(
        fmt::format("memory '{}': the address {} is not a multiple of its page size {}; give one that is, or none",
                    name, fmt::ptr(placement.fixed_address), placement.page_size));
  }
  return absl::OkStatus();
}

absl::Status Explain(const absl::Status& status, const std::string& name, std::uint64_t length,
                     const OwnedRegion::Placement& placement) {
  const bool fixed = placement.fixed_address != nullptr;
  if (fixed && absl::IsAlreadyExists(status)) {
    return absl::AlreadyExistsError(fmt::format(
        "memory '{}': something is mapped at {} already; unmap that first, or give another address, or none", name,
        fmt::ptr(placement.fixed_address)));
  }
  if (placement.page_size == kHugePage) {
    return absl::ResourceExhaustedError(fmt::format(
        "memory '{}' needs {} free huge pages of 2 MiB ({}); provide them with: sysctl -w vm.nr_hugepages={}", name,
        length / kHugePage, std::string(status.message()), length / kHugePage));
  }
  return absl::ResourceExhaustedError(
      fmt::format("memory '{}': {} bytes cannot be mapped ({}); see `ulimit -v` and vm.overcommit_memory", name, length,
                  std::string(status.message())));
}

absl::StatusOr<Mapping> MapRegion(const std::string& name, std::uint64_t length, int flags, int fd,
                                  const OwnedRegion::Placement& placement) {
  auto mapping = Mapping::Map({.length = length,
                               .protection = PROT_READ | PROT_WRITE,
                               .flags = flags,
                               .fd = fd,
                               .alignment = kHugePage,
                               .fixed_address = placement.fixed_address});
  if (!mapping.ok()) return Explain(mapping.status(), name, length, placement);
  if (placement.page_size == kSmallPage) {
    // Advice: without it the memory works all the same.
    static_cast<void>(
        madvise(mapping->data(), length, placement.transparent_huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
  }
  return mapping;
}

absl::Status OpenError(const std::string& path, int error) {
  const std::string message = fmt::format("cannot open '{}': {}", path, std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message + "; check its name");
  if (error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(message + "; let this user read it (chmod, chown), or run as one who may");
  }
  if (error == EMFILE) return absl::ResourceExhaustedError(message + "; raise the limit of open files (ulimit -n)");
  if (error == ENFILE) return absl::ResourceExhaustedError(message + "; raise the limit with: sysctl -w fs.file-max=N");
  return absl::InvalidArgumentError(message + "; name a regular file that can be read");
}

}  // namespace

absl::StatusOr<OwnedRegion> OwnedRegion::CreateShared(std::string name, std::uint64_t length,
                                                      const Placement& placement) {
  if (absl::Status status = CheckShape(name, length, placement); !status.ok()) return status;
  const bool huge = placement.page_size == kHugePage;
  UniqueFd fd(
      memfd_create(name.substr(0, kMaxRegionName).c_str(), MFD_CLOEXEC | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0u)));
  if (!fd.valid() || ftruncate(fd.get(), static_cast<off_t>(length)) != 0) {
    return Explain(absl::ErrnoToStatus(errno, "memfd"), name, length, placement);
  }
  auto mapping = MapRegion(name, length, MAP_SHARED, fd.get(), placement);
  if (!mapping.ok()) return mapping.status();
  return OwnedRegion(Region{.name = std::move(name),
                            .base = mapping->Release().data(),
                            .length = length,
                            .page_size = placement.page_size,
                            .fd = fd.release()});
}

absl::StatusOr<OwnedRegion> OwnedRegion::CreateShared(std::string name, std::uint64_t length) {
  return CreateShared(std::move(name), length, Placement{});
}

absl::StatusOr<OwnedRegion> OwnedRegion::CreateAnonymous(std::string name, std::uint64_t length,
                                                         const Placement& placement) {
  if (absl::Status status = CheckShape(name, length, placement); !status.ok()) return status;
  const bool huge = placement.page_size == kHugePage;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (huge ? MAP_HUGETLB | static_cast<int>(MFD_HUGE_2MB) : 0);
  auto mapping = MapRegion(name, length, flags, -1, placement);
  if (!mapping.ok()) return mapping.status();
  return OwnedRegion(Region{
      .name = std::move(name), .base = mapping->Release().data(), .length = length, .page_size = placement.page_size});
}

absl::StatusOr<OwnedRegion> OwnedRegion::CreateAnonymous(std::string name, std::uint64_t length) {
  return CreateAnonymous(std::move(name), length, Placement{});
}

absl::StatusOr<OwnedRegion> OwnedRegion::OpenFile(const std::string& path) {
  // Non-blocking: opening a FIFO must not wait for a writer.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return OpenError(path, errno);
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return OpenError(path, errno);
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(
        fmt::format("'{}' is not a regular file: name one that holds the memory's bytes", path));
  if (info.st_size == 0)
    return absl::InvalidArgumentError(
        fmt::format("'{}' is empty: there is nothing to export; name a file that holds the memory's bytes", path));
  const std::uint64_t length = (static_cast<std::uint64_t>(info.st_size) + kSmallPage - 1) / kSmallPage * kSmallPage;
  auto mapping = Mapping::Map(
      {.length = length, .protection = PROT_READ, .flags = MAP_SHARED, .fd = fd.get(), .alignment = kHugePage});
  if (!mapping.ok()) {
    return absl::ResourceExhaustedError(fmt::format("'{}': its {} bytes cannot be mapped ({}); see `ulimit -v`", path,
                                                    length, std::string(mapping.status().message())));
  }
  const std::size_t slash = path.rfind('/');
  const std::string file_name = slash == std::string::npos ? path : path.substr(slash + 1);
  return OwnedRegion(Region{.name = file_name.substr(0, kMaxRegionName),
                            .base = mapping->Release().data(),
                            .length = length,
                            .fd = fd.release()});
}

OwnedRegion::OwnedRegion(OwnedRegion&& other) noexcept : region_(std::exchange(other.region_, Region{})) {}

OwnedRegion& OwnedRegion::operator=(OwnedRegion&& other) noexcept {
  if (this != &other) {
    Release();
    region_ = std::exchange(other.region_, Region{});
  }
  return *this;
}

OwnedRegion::~OwnedRegion() { Release(); }

void OwnedRegion::Release() {
  if (region_.base != nullptr) munmap(region_.base, region_.length);
  const UniqueFd closes(region_.fd);
  region_ = Region{};
}

}  // namespace farfault
