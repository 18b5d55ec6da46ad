#ifndef FARFAULT_LIB_PAGE_PAGE_STATE_FILE_H_
#define FARFAULT_LIB_PAGE_PAGE_STATE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/guest_memory.h"
#include "lib/util/mapping.h"

namespace farfault {

/// The state of every page in a file that survives the process. Written through a shared mapping, so that what has been
/// stored is there whatever kills the process. Move-only; one thread.
class PageStateFile {
 public:
  /// Makes a file, all pages absent, which Publish puts at `path`: until then a file that is there stays there.
  static absl::StatusOr<PageStateFile> Create(const std::string& path, const GuestMemory& memory);
  /// kNotFound: there is none. kFailedPrecondition: it is of other memory. kDataLoss: it is none of ours, or damaged.
  static absl::StatusOr<PageStateFile> Reopen(const std::string& path, const GuestMemory& memory);

  /// Where a file that Publish puts at `path` is until then.
  static std::string DraftOf(const std::string& path) { return path + ".new"; }

  PageStateFile() = default;
  PageStateFile(PageStateFile&& other) noexcept { *this = std::move(other); }
  PageStateFile& operator=(PageStateFile&& other) noexcept;
  /// Removes a file that was made and not published.
  ~PageStateFile() { Discard(); }

  /// Puts a file that was made in its place, instead of one that is there. Nothing to do for one that was reopened.
  absl::Status Publish();

  /// For PageTable; one byte per page. Empty when there is no file.
  std::span<std::uint8_t> states() const;
  /// The guest may run: from now on what the file says counts.
  void MarkRunning();
  /// Made, and not published yet.
  bool is_new() const { return !draft_.empty(); }
  /// MarkRunning has been called, by whomever. Otherwise no page was the guest's yet when the file was left.
  bool guest_ran() const;

 private:
  struct Header;

  explicit PageStateFile(Mapping mapping) : mapping_(std::move(mapping)) {}
  static absl::StatusOr<PageStateFile> Map(const std::string& path, int flags, std::uint64_t bytes);
  Header& header() const;
  void Discard();

  Mapping mapping_;
  std::string path_;   // Where Publish puts it.
  std::string draft_;  // Where it is until then; empty: it has been published.
};

}  // namespace farfault

#endif  // FARFAULT_LIB_PAGE_PAGE_STATE_FILE_H_
