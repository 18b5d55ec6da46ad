#include "test/support/memory_machine.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string_view>
#include <utility>
#include <vector>

#include "farfault/guest_memory.h"
#include "lib/fault/userfaultfd.h"
#include "lib/prepage/dirty_tracker.h"
#include "test/support/skip.h"

namespace farfault {
namespace {

constexpr char kHugePages[] = "/proc/sys/vm/nr_hugepages";
constexpr char kFreeHugePages[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";

std::uint64_t ReadNumber(const char* path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  file >> number;
  return number;
}

}  // namespace

absl::Status UserfaultfdAvailable() {
  return Userfaultfd::Open(UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM).status();
}

void RequireUserfaultfd() {
  const absl::Status available = UserfaultfdAvailable();
  if (!available.ok()) SkipFor(available.ToString());
}

void RequireDirtyTracking() {
  RequireUserfaultfd();
  const absl::Status supported = DirtyTracker::CheckSupported();
  if (!supported.ok()) SkipFor(supported.ToString());
}

absl::StatusOr<HugePagePool> HugePagePool::Provide(std::uint64_t pages) {
  const std::uint64_t before = ReadNumber(kHugePages);
  HugePagePool pool(before);
  const std::uint64_t free = ReadNumber(kFreeHugePages);
  if (free >= pages) return pool;
  std::ofstream(kHugePages) << before + pages - free;
  if (ReadNumber(kFreeHugePages) >= pages) return pool;
  return absl::ResourceExhaustedError("no huge pages to be had: needs root, and memory that is not too fragmented");
}

HugePagePool::HugePagePool(HugePagePool&& other) noexcept
    : before_(other.before_), owns_(std::exchange(other.owns_, false)) {}

HugePagePool::~HugePagePool() {
  if (owns_) std::ofstream(kHugePages) << before_;
}

absl::StatusOr<TmpfsMount> TmpfsMount::Create(const std::string& options, const std::string& type) {
  char path[] = "/tmp/farfault-test-XXXXXX";
  if (mkdtemp(path) == nullptr) return absl::ErrnoToStatus(errno, "mkdtemp");
  if (mount(type.c_str(), path, type.c_str(), 0, options.c_str()) != 0) {
    const int error = errno;
    rmdir(path);
    return absl::ErrnoToStatus(error, "mounting a " + type + " with " + options);
  }
  return TmpfsMount(path);
}

TmpfsMount::TmpfsMount(TmpfsMount&& other) noexcept : path_(std::exchange(other.path_, "")) {}

TmpfsMount::~TmpfsMount() {
  if (path_.empty()) return;
  umount2(path_.c_str(), MNT_DETACH);
  rmdir(path_.c_str());
}

absl::StatusOr<UniqueFd> TmpfsMount::CreateFile(std::uint64_t length) const {
  UniqueFd fd(open((path_ + "/memory").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid() || ftruncate(fd.get(), static_cast<off_t>(length)) != 0) return absl::ErrnoToStatus(errno, path_);
  return fd;
}

std::uint64_t SmapsKilobytes(const void* address, std::uint64_t length, const std::string& field) {
  const auto wanted = reinterpret_cast<std::uint64_t>(address);
  std::uint64_t sum = 0;
  bool inside = false;
  std::ifstream smaps("/proc/self/smaps");
  for (std::string line; std::getline(smaps, line);) {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t kilobytes = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      inside = begin >= wanted && end <= wanted + length;
    } else if (inside && line.starts_with(field + ":") &&
               std::sscanf(line.c_str() + field.size() + 1, "%lu", &kilobytes) == 1) {
      sum += kilobytes;
    }
  }
  return sum;
}

std::uint64_t PresentPages(const void* address, std::uint64_t length) {
  const UniqueFd pagemap(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  std::vector<std::uint64_t> entries(length / kSmallPage);
  const auto offset = static_cast<off_t>(reinterpret_cast<std::uint64_t>(address) / kSmallPage * sizeof(entries[0]));
  const std::size_t bytes = entries.size() * sizeof(entries[0]);
  if (pread(pagemap.get(), entries.data(), bytes, offset) != static_cast<ssize_t>(bytes)) return UINT64_MAX;
  std::uint64_t present = 0;
  for (const std::uint64_t entry : entries) present += entry >> 63;
  return present;
}

}  // namespace farfault
