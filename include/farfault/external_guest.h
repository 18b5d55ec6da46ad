#ifndef FARFAULT_EXTERNAL_GUEST_H_
#define FARFAULT_EXTERNAL_GUEST_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace farfault {

/// A range of addresses at which a part of a region is mapped.
struct GuestMapping {
  std::uint64_t address = 0;
  std::uint64_t length = 0;
};

/// The process that a guest lives in when that is not the one that runs the session: a hypervisor that has handed its
/// userfaultfd over. The session reaches its memory only through the userfaultfd and the file behind it.
///
/// Closing the last descriptor of a userfaultfd turns every page that is missing into zeros. So somebody who outlives
/// the session, best the guest's own process, has to keep a duplicate: then the death of a pager parks the guest and
/// nothing worse, and another one may take over.
struct ExternalGuest {
  /// The guest's userfaultfd, on which UFFDIO_API has been done there. Borrowed: `GuestMemory::CreateExternal`
  /// duplicates it. Only the session's regions may be registered with it as long as the session lasts, which reads all
  /// of its events: a process that gives memory back waits until somebody has.
  int userfaultfd = -1;
  /// The UFFD_FEATURE_* bits that were asked for in UFFDIO_API, as far as they are known. With
  /// UFFD_FEATURE_EVENT_REMOVE a page that the guest gives back (MADV_DONTNEED of private memory) reads as zeros from
  /// then on. A source that tracks what the guest writes needs UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
  /// UFFD_FEATURE_WP_UNPOPULATED and UFFD_FEATURE_WP_ASYNC (Linux 6.7). A destination whose memory has a file must not
  /// have that feature: the event does not tell MADV_DONTNEED, which leaves the file's bytes, from MADV_REMOVE.
  std::uint64_t features = 0;
  /// The guest's process has registered the memory already: at a destination with UFFDIO_REGISTER_MODE_MISSING, and
  /// with UFFDIO_REGISTER_MODE_MINOR as well where the memory has a file; at a source with UFFDIO_REGISTER_MODE_WP.
  /// False: the session registers it.
  bool registered = false;
  /// The guest runs already, as one does that was restored from a snapshot: what it has given back by the time the
  /// source switches over reads as zeros, too. False: its memory is the source's until then.
  bool running = false;
  /// The guest has run on this memory before, paged by a destination session that is no more (its process died, for
  /// instance): pages that are mapped in the guest's process are the guest's own and are not asked for. Memory with a
  /// file also needs `DestinationOptions::state_file`. False: pages that are mapped already are refused, since the
  /// guest would not wait for theirs.
  bool taken_over = false;
  /// The guest's process, to notice its end and to look at its page tables. 0: unknown; then its end is noticed with
  /// the next page that is mapped, and nothing is said about pages that were mapped too early.
  pid_t pid = 0;
};

/// One region of such a guest.
struct ExternalRegion {
  /// As in `Region`.
  std::string name;
  /// `kSmallPage` or `kHugePage`.
  std::uint64_t page_size = 4096;
  /// Where the guest's process has mapped it: together the region, in its order. A source takes one mapping per region.
  std::vector<GuestMapping> mappings;
  /// The file behind the mappings (memfd, tmpfs, hugetlbfs), mapped shared there: pages land where they will live. -1
  /// for private anonymous memory, at a destination only: pages are copied into place.
  int fd = -1;
  /// Where the region begins in the file, in bytes; each mapping follows the one before it there.
  std::uint64_t file_offset = 0;
};

}  // namespace farfault

#endif  // FARFAULT_EXTERNAL_GUEST_H_
