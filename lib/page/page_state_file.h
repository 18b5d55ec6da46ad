#ifndef FARFAULT_LIB_PAGE_PAGE_STATE_FILE_H_
#define FARFAULT_LIB_PAGE_PAGE_STATE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "lib/util/mapping.h"

namespace farfault {

/// The state of every page in a file that survives the process. Written through a shared mapping, so that what has been
/// stored is there whatever kills the process. Move-only; one thread.
class PageStateFile {
 public:
  /// Makes the file, or empties the one that is there.
  static absl::StatusOr<PageStateFile> Create(const std::string& path, const GuestMemory& memory);
  /// kNotFound: there is none. kFailedPrecondition: it is of other memory, or its guest never ran. kDataLoss: it is
  /// none of ours, or damaged.
  static absl::StatusOr<PageStateFile> Reopen(const std::string& path, const GuestMemory& memory);

  PageStateFile() = default;

  /// For PageTable; one byte per page. Empty when there is no file.
  std::span<std::uint8_t> states() const;
  /// The guest may run: from now on what the file says counts.
  void MarkRunning();

 private:
  struct Header;

  explicit PageStateFile(Mapping mapping) : mapping_(std::move(mapping)) {}
  static absl::StatusOr<PageStateFile> Map(const std::string& path, int flags, std::uint64_t bytes);
  Header& header() const;

  Mapping mapping_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_PAGE_STATE_FILE_H_
