#ifndef FARFAULT_C_MEMORY_H_
#define FARFAULT_C_MEMORY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farfault/c/status.h"
#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FARFAULT_SMALL_PAGE 4096
#define FARFAULT_HUGE_PAGE 2097152
#define FARFAULT_MAX_REGIONS 64
#define FARFAULT_MAX_REGION_NAME 63

/// `count` consecutive pages of one region, from `first` on.
struct farfault_page_run {
  uint64_t first;
  uint64_t count;
};

/// One contiguous range of guest memory as it is mapped in this process. Nothing here is owned: the mapping and the
/// file descriptor must outlive every session that uses them. Sessions hold each region against /proc/self/maps and
/// refuse it (FARFAULT_INVALID_ARGUMENT) when something else is mapped there, or when two regions share a part of a
/// file.
struct farfault_region {
  size_t struct_size;
  /// Tells the two ends which regions belong together; 1 to FARFAULT_MAX_REGION_NAME bytes, unique in a session.
  const char* name;
  /// First byte, aligned to `page_size`.
  void* base;
  /// Bytes, a multiple of `page_size`, not 0.
  uint64_t length;
  /// FARFAULT_SMALL_PAGE (the default), or FARFAULT_HUGE_PAGE for hugetlbfs. Transparent huge pages count as small.
  uint64_t page_size;
  /// Where `base` lies in the file, in bytes; 0 by default.
  uint64_t file_offset;
  /// The file behind the mapping (memfd, tmpfs, hugetlbfs), mapped shared: pages land where they will live. -1, the
  /// default, for private anonymous memory, which takes the staged path through a small ring and UFFDIO_COPY.
  int fd;
  /// 0.
  uint32_t reserved;
};

FARFAULT_EXPORT void farfault_region_init(struct farfault_region* region, size_t struct_size);

/// The regions of one guest, checked once: in this process, or in another one (farfault/c/external_guest.h). Holds no
/// resources of the memory; may be destroyed as soon as a session has been made of it.
struct farfault_memory;

/// `regions[i]` follow each other at a distance of their `struct_size`, which is the same for all.
/// FARFAULT_INVALID_ARGUMENT, naming the region and the value: no or too many regions, empty or repeated name, zero or
/// unaligned length, base or offset, another page size, overlap.
FARFAULT_EXPORT enum farfault_status farfault_memory_create(const struct farfault_region* regions, size_t count,
                                                            struct farfault_memory** memory);
FARFAULT_EXPORT void farfault_memory_destroy(struct farfault_memory* memory);

FARFAULT_EXPORT size_t farfault_memory_region_count(const struct farfault_memory* memory);
FARFAULT_EXPORT uint64_t farfault_memory_total_bytes(const struct farfault_memory* memory);
FARFAULT_EXPORT uint64_t farfault_memory_total_pages(const struct farfault_memory* memory);

/// Region `index` (its name is valid as long as `memory`) and the pages of it; each may be NULL. FARFAULT_OUT_OF_RANGE.
FARFAULT_EXPORT enum farfault_status farfault_memory_region(const struct farfault_memory* memory, size_t index,
                                                            struct farfault_region* region,
                                                            struct farfault_page_run* pages);

/// The page that holds `address`, one of the guest's process. FARFAULT_NOT_FOUND: it is in none of the regions.
FARFAULT_EXPORT enum farfault_status farfault_memory_page_at(const struct farfault_memory* memory, const void* address,
                                                             uint64_t* page);

/// A mapping with its file, for programs that have no allocator for guest memory of their own.
struct farfault_owned_region;

struct farfault_placement {
  size_t struct_size;
  /// FARFAULT_SMALL_PAGE (the default) or FARFAULT_HUGE_PAGE.
  uint64_t page_size;
  /// Map at this address or fail; NULL, the default, lets the kernel choose.
  void* fixed_address;
  /// Ask for transparent huge pages (advice: falls back to small pages). True by default.
  bool transparent_huge_pages;
  /// 0.
  uint8_t reserved[7];
};

FARFAULT_EXPORT void farfault_placement_init(struct farfault_placement* placement, size_t struct_size);

/// Shared memory on a memfd (on hugetlbfs for FARFAULT_HUGE_PAGE). `placement` may be NULL: the defaults.
/// FARFAULT_RESOURCE_EXHAUSTED when there is not enough memory or there are too few huge pages, with the command that
/// provides them.
FARFAULT_EXPORT enum farfault_status farfault_owned_region_create_shared(const char* name, uint64_t length,
                                                                         const struct farfault_placement* placement,
                                                                         struct farfault_owned_region** owned);

/// Private anonymous memory. `placement` may be NULL: the defaults.
FARFAULT_EXPORT enum farfault_status farfault_owned_region_create_anonymous(const char* name, uint64_t length,
                                                                            const struct farfault_placement* placement,
                                                                            struct farfault_owned_region** owned);

/// Maps an existing file read-only, its length rounded up to whole pages (the tail reads as zeros). For exporting an
/// image. FARFAULT_NOT_FOUND, FARFAULT_PERMISSION_DENIED, FARFAULT_INVALID_ARGUMENT (empty or not a regular file).
FARFAULT_EXPORT enum farfault_status farfault_owned_region_open_file(const char* path,
                                                                     struct farfault_owned_region** owned);

/// For `farfault_memory_create`; what it points to is valid as long as `owned`.
FARFAULT_EXPORT enum farfault_status farfault_owned_region_get(const struct farfault_owned_region* owned,
                                                               struct farfault_region* region);

/// Unmaps and closes.
FARFAULT_EXPORT void farfault_owned_region_destroy(struct farfault_owned_region* owned);

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_MEMORY_H_
