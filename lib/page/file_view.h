#ifndef FARFAULT_LIB_PAGE_FILE_VIEW_H_
#define FARFAULT_LIB_PAGE_FILE_VIEW_H_

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "lib/util/mapping.h"

namespace farfault {

/// The memory of an external guest as this process sees it: its files, mapped read-only. Move-only; holds the mappings,
/// not the files.
class FileView {
 public:
  /// kInvalidArgument: a region without a file, or one that is mapped in parts. kResourceExhausted.
  static absl::StatusOr<FileView> Map(const GuestMemory& external);
  FileView() = default;

  /// The same regions at addresses of this process; valid as long as this object is.
  const GuestMemory& memory() const { return memory_; }

 private:
  GuestMemory memory_;
  std::vector<Mapping> mappings_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_FILE_VIEW_H_
