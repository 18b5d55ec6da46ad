#ifndef FARFAULT_LIB_PAGE_ALIAS_H_
#define FARFAULT_LIB_PAGE_ALIAS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "lib/util/mapping.h"

namespace farfault {

/// A second mapping of a region's file, congruent to the file modulo 2 MiB and advised to use huge pages. Bytes that
/// land in it are in the file, but the guest sees them only when they are mapped there as well.
class Alias {
 public:
  /// Errors name the region: kInvalidArgument (file too short, wrong page size, a file system without userfaultfd),
  /// kPermissionDenied (opened read-only), kResourceExhausted (too few huge pages).
  static absl::StatusOr<Alias> Map(const Region& region);
  Alias() = default;

  std::span<std::byte> bytes() const { return mapping_.bytes(); }
  std::byte* data() const { return mapping_.data(); }

  /// After populating: which 2 MiB chunks, counted from the start of the region, lie on a huge folio. All false where
  /// the region is not aligned to 2 MiB in address and file, or the kernel cannot tell (before Linux 6.7).
  std::vector<bool> FindHugeChunks(const Region& region) const;

 private:
  explicit Alias(Mapping mapping) : mapping_(std::move(mapping)) {}
  Mapping mapping_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_ALIAS_H_
