#ifndef FARFAULT_TEST_SUPPORT_MEMORY_MACHINE_H_
#define FARFAULT_TEST_SUPPORT_MEMORY_MACHINE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/util/unique_fd.h"

// What tests of real memory ask of the machine, and give back.
namespace farfault {

/// OK when this process may use userfaultfd with shared memory and minor faults; otherwise the reason.
absl::Status UserfaultfdAvailable();

/// Skips the test case without it; see SkipFor.
void RequireUserfaultfd();
/// The same, and what pre-paging finds out about written pages with: Linux 6.7.
void RequireDirtyTracking();

/// Makes at least `pages` huge pages of 2 MiB free, as root, and gives them back in the end.
class HugePagePool {
 public:
  static absl::StatusOr<HugePagePool> Provide(std::uint64_t pages);
  HugePagePool(HugePagePool&& other) noexcept;
  HugePagePool& operator=(HugePagePool&&) = delete;
  ~HugePagePool();

 private:
  explicit HugePagePool(std::uint64_t before) : before_(before) {}
  std::uint64_t before_;
  bool owns_ = true;
};

/// A tmpfs (or another file system in memory) of our own, mounted as root and unmounted in the end.
class TmpfsMount {
 public:
  /// `options` as for mount -o: "size=1m,huge=advise".
  static absl::StatusOr<TmpfsMount> Create(const std::string& options, const std::string& type = "tmpfs");
  TmpfsMount(TmpfsMount&& other) noexcept;
  TmpfsMount& operator=(TmpfsMount&&) = delete;
  ~TmpfsMount();

  const std::string& path() const { return path_; }
  /// A new file of `length` bytes, open for reading and writing.
  absl::StatusOr<UniqueFd> CreateFile(std::uint64_t length) const;

 private:
  explicit TmpfsMount(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// The value in kB of `field` ("ShmemPmdMapped", "Rss") in /proc/self/smaps, summed up over the mappings inside
/// [address, address + length).
std::uint64_t SmapsKilobytes(const void* address, std::uint64_t length, const std::string& field);

/// How many pages of [address, address + length) this process has mapped.
std::uint64_t PresentPages(const void* address, std::uint64_t length);

}  // namespace farfault

#endif  // FARFAULT_TEST_SUPPORT_MEMORY_MACHINE_H_
