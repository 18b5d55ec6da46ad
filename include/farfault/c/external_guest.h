#ifndef FARFAULT_C_EXTERNAL_GUEST_H_
#define FARFAULT_C_EXTERNAL_GUEST_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farfault/c/memory.h"
#include "farfault/c/status.h"
#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A range of addresses at which a part of a region is mapped.
struct farfault_guest_mapping {
  uint64_t address;
  uint64_t length;
};

/// The process that a guest lives in when that is not the one that runs the session: a hypervisor that has handed its
/// userfaultfd over. The session reaches its memory only through the userfaultfd and the file behind it.
///
/// Closing the last descriptor of a userfaultfd turns every page that is missing into zeros. So somebody who outlives
/// the session, best the guest's own process, has to keep a duplicate: then the death of a pager parks the guest and
/// nothing worse, and another one may take over.
struct farfault_external_guest {
  size_t struct_size;
  /// The UFFD_FEATURE_* bits that were asked for in UFFDIO_API, as far as they are known; 0 by default. With
  /// UFFD_FEATURE_EVENT_REMOVE a page that the guest gives back (MADV_DONTNEED of private memory) reads as zeros from
  /// then on. A source that tracks what the guest writes needs UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
  /// UFFD_FEATURE_WP_UNPOPULATED and UFFD_FEATURE_WP_ASYNC (Linux 6.7). A destination whose memory has a file must not
  /// have that feature: the event does not tell MADV_DONTNEED, which leaves the file's bytes, from MADV_REMOVE.
  uint64_t features;
  /// The guest's userfaultfd, on which UFFDIO_API has been done there; -1 by default, which is none. Borrowed:
  /// `farfault_memory_create_external` duplicates it. Only the session's regions may be registered with it as long as
  /// the session lasts, which reads all of its events: a process that gives memory back waits until somebody has.
  int userfaultfd;
  /// The guest's process, to notice its end and to look at its page tables. 0, the default: unknown; then its end is
  /// noticed with the next page that is mapped, and nothing is said about pages that were mapped too early.
  int pid;
  /// The guest's process has registered the memory already: at a destination with UFFDIO_REGISTER_MODE_MISSING, and
  /// with UFFDIO_REGISTER_MODE_MINOR as well where the memory has a file; at a source with UFFDIO_REGISTER_MODE_WP.
  /// False, the default: the session registers it.
  bool registered;
  /// The guest runs already, as one does that was restored from a snapshot: what it has given back by the time the
  /// source switches over reads as zeros, too. False, the default: its memory is the source's until then.
  bool running;
  /// The guest has run on this memory before, paged by a destination session that is no more (its process died, for
  /// instance): pages that are mapped in the guest's process are the guest's own and are not asked for. Memory with a
  /// file also needs `farfault_destination_options.state_file`. False, the default: pages that are mapped already are
  /// refused, since the guest would not wait for theirs.
  bool taken_over;
  /// 0.
  uint8_t reserved[5];
};

FARFAULT_EXPORT void farfault_external_guest_init(struct farfault_external_guest* guest, size_t struct_size);

/// One region of such a guest.
struct farfault_external_region {
  size_t struct_size;
  /// As in `farfault_region`.
  const char* name;
  /// FARFAULT_SMALL_PAGE (the default) or FARFAULT_HUGE_PAGE.
  uint64_t page_size;
  /// Where the guest's process has mapped it: together the region, in its order. A source takes one mapping per region.
  const struct farfault_guest_mapping* mappings;
  size_t mapping_count;
  /// Where the region begins in the file, in bytes; each mapping follows the one before it there. 0 by default.
  uint64_t file_offset;
  /// The file behind the mappings (memfd, tmpfs, hugetlbfs), mapped shared there: pages land where they will live. -1,
  /// the default, for private anonymous memory, at a destination only: pages are copied into place.
  int fd;
  /// 0.
  uint32_t reserved;
};

FARFAULT_EXPORT void farfault_external_region_init(struct farfault_external_region* region, size_t struct_size);

/// Memory that is mapped in another process, whose addresses mean nothing here: `base` of its regions is the address
/// of the first mapping there and is never followed. `farfault_memory_page_at` takes addresses of that process.
/// `regions[i]` follow each other at a distance of their `struct_size`, which is the same for all.
/// FARFAULT_INVALID_ARGUMENT as for `farfault_memory_create`, or when the userfaultfd is not open, or the mappings
/// overlap or do not consist of whole pages.
FARFAULT_EXPORT enum farfault_status farfault_memory_create_external(const struct farfault_external_region* regions,
                                                                     size_t count,
                                                                     const struct farfault_external_guest* guest,
                                                                     struct farfault_memory** memory);

/// The process that the memory is mapped in. FARFAULT_NOT_FOUND: it is this one.
FARFAULT_EXPORT enum farfault_status farfault_memory_external_guest(const struct farfault_memory* memory,
                                                                    struct farfault_external_guest* guest);

/// In how many parts region `region` is mapped: 1 in this process, 0 when there is no such region.
FARFAULT_EXPORT size_t farfault_memory_mapping_count(const struct farfault_memory* memory, size_t region);

/// Mapping `index` of region `region`, in the order of its pages. FARFAULT_OUT_OF_RANGE.
FARFAULT_EXPORT enum farfault_status farfault_memory_mapping(const struct farfault_memory* memory, size_t region,
                                                             size_t index, struct farfault_guest_mapping* mapping);

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_EXTERNAL_GUEST_H_
