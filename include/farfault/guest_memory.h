#ifndef FARFAULT_GUEST_MEMORY_H_
#define FARFAULT_GUEST_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "farfault/export.h"
#include "farfault/external_guest.h"
#include "farfault/page.h"

namespace farfault {

inline constexpr std::uint64_t kSmallPage = 4096;
inline constexpr std::uint64_t kHugePage = 2u << 20;
inline constexpr std::size_t kMaxRegions = 64;
inline constexpr std::size_t kMaxRegionName = 63;

/// One contiguous range of guest memory as it is mapped in this process. Nothing here is owned: the mapping
/// and the file descriptor must outlive every session that uses them. Sessions hold each region against
/// /proc/self/maps and refuse it (kInvalidArgument) when something else is mapped there, or when two regions share a
/// part of a file.
struct Region {
  /// Tells the two ends which regions belong together; 1 to `kMaxRegionName` bytes, unique in a session.
  std::string name;
  /// First byte, aligned to `page_size`.
  std::byte* base = nullptr;
  /// Bytes, a multiple of `page_size`, not 0.
  std::uint64_t length = 0;
  /// `kSmallPage`, or `kHugePage` for hugetlbfs. A mapping on transparent huge pages is `kSmallPage`.
  std::uint64_t page_size = kSmallPage;
  /// The file behind the mapping (memfd, tmpfs, hugetlbfs), mapped shared: pages land where they will live.
  /// -1 for private anonymous memory, which takes the staged path through a small ring and `UFFDIO_COPY`.
  int fd = -1;
  /// Where `base` lies in the file, in bytes.
  std::uint64_t file_offset = 0;
};

/// The regions of one guest, checked once. Copyable. Holds no resources but, of a guest in another process, a duplicate
/// of its userfaultfd, which the copies share.
class FARFAULT_EXPORT GuestMemory {
 public:
  GuestMemory() = default;

  /// kInvalidArgument, naming the region and the value: no or too many regions, empty or repeated name, zero or
  /// unaligned length, base or offset, another page size, overlap.
  static absl::StatusOr<GuestMemory> Create(std::vector<Region> regions);

  /// Memory that is mapped in another process, whose addresses mean nothing here: `base` of its regions is the address
  /// of the first mapping there and is never followed. kInvalidArgument as for `Create`, or when the userfaultfd is not
  /// open (`external()` names a duplicate of it), or the mappings overlap or do not consist of whole pages.
  static absl::StatusOr<GuestMemory> CreateExternal(std::vector<ExternalRegion> regions, const ExternalGuest& guest);

  std::span<const Region> regions() const { return regions_; }
  /// The process that the memory is mapped in; null when it is this one.
  const ExternalGuest* external() const { return external_ ? &*external_ : nullptr; }
  /// Where region `index` is mapped, in the order of its pages.
  std::span<const GuestMapping> mappings_of(std::size_t index) const { return mappings_[index]; }
  std::uint64_t total_bytes() const { return total_bytes_; }
  std::uint64_t total_pages() const { return total_pages_; }

  /// The pages of region `index`.
  PageRun pages_of(std::size_t index) const { return runs_[index]; }

  /// The page that holds `address`, an address in one of the regions; kNotFound otherwise. Of external memory: an
  /// address of that process.
  absl::StatusOr<PageIndex> PageAt(const void* address) const;

 private:
  static absl::StatusOr<GuestMemory> CreateChecked(std::vector<Region> regions,
                                                   std::vector<std::vector<GuestMapping>> mappings);

  std::vector<Region> regions_;
  std::vector<PageRun> runs_;
  std::vector<std::vector<GuestMapping>> mappings_;  // Per region.
  std::optional<ExternalGuest> external_;            // With the descriptor that userfaultfd_ closes.
  std::shared_ptr<void> userfaultfd_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t total_pages_ = 0;
};

/// A mapping with its file that unmaps and closes itself. A convenience for programs that have no allocator for guest
/// memory of their own. Move-only; not for concurrent use, but the memory is plain memory.
class FARFAULT_EXPORT OwnedRegion {
 public:
  struct Placement {
    std::uint64_t page_size = kSmallPage;
    /// Map at this address or fail; null lets the kernel choose.
    void* fixed_address = nullptr;
    /// Ask for transparent huge pages (advice: falls back to small pages).
    bool transparent_huge_pages = true;
  };

  /// Shared memory on a memfd (on hugetlbfs for `kHugePage`). kResourceExhausted when there is not enough memory
  /// or there are too few huge pages, with the command that provides them.
  static absl::StatusOr<OwnedRegion> CreateShared(std::string name, std::uint64_t length, const Placement& placement);
  static absl::StatusOr<OwnedRegion> CreateShared(std::string name, std::uint64_t length);

  /// Private anonymous memory.
  static absl::StatusOr<OwnedRegion> CreateAnonymous(std::string name, std::uint64_t length,
                                                     const Placement& placement);
  static absl::StatusOr<OwnedRegion> CreateAnonymous(std::string name, std::uint64_t length);

  /// Maps an existing file read-only, its length rounded up to whole pages (the tail reads as zeros). For exporting
  /// an image. kNotFound, kPermissionDenied, kInvalidArgument (empty or not a regular file).
  static absl::StatusOr<OwnedRegion> OpenFile(const std::string& path);

  OwnedRegion() = default;
  OwnedRegion(OwnedRegion&& other) noexcept;
  OwnedRegion& operator=(OwnedRegion&& other) noexcept;
  ~OwnedRegion();

  /// For `GuestMemory::Create`; valid as long as this object is.
  const Region& region() const { return region_; }
  std::span<std::byte> bytes() const { return {region_.base, region_.length}; }

 private:
  explicit OwnedRegion(Region region) : region_(std::move(region)) {}
  void Release();

  Region region_;
};

}  // namespace farfault

#endif  // FARFAULT_GUEST_MEMORY_H_
