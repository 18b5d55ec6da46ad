#ifndef FARFAULT_C_DIRTY_LOG_H_
#define FARFAULT_C_DIRTY_LOG_H_

#include <stddef.h>
#include <stdint.h>

#include "farfault/c/memory.h"
#include "farfault/c/status.h"
#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A bitmap as KVM_GET_DIRTY_LOG fills it, for a part of one region: the lowest bit of `words[0]` stands for the first
/// FARFAULT_SMALL_PAGE bytes, whatever the region's page size. A memory slot of KVM is one such part.
struct farfault_dirty_bitmap {
  /// Index in the array that made the `farfault_memory`.
  size_t region;
  /// Where the part begins in the region, in bytes, a multiple of FARFAULT_SMALL_PAGE.
  uint64_t offset;
  /// How many bits count.
  uint64_t pages;
  /// At least `pages` bits.
  const uint64_t* words;
};

/// Takes what a dirty log has recorded; valid during the callback that got it.
struct farfault_dirty_sink;

/// FARFAULT_INVALID_ARGUMENT: not in the memory; then nothing is taken.
FARFAULT_EXPORT enum farfault_status farfault_dirty_sink_add_runs(struct farfault_dirty_sink* sink,
                                                                  const struct farfault_page_run* runs, size_t count);
FARFAULT_EXPORT enum farfault_status farfault_dirty_sink_add_bitmap(struct farfault_dirty_sink* sink,
                                                                    const struct farfault_dirty_bitmap* bitmap);

/// A hypervisor's own record of what its guest writes, such as KVM's dirty log.
struct farfault_dirty_log {
  /// Adds to `written` the pages that have changed since its last call, and counts anew from there on, in one step.
  /// Pages that have not changed do no harm; a change that is left out reaches the destination stale. The log runs
  /// since before the first `farfault_source_prepage`. Called from the thread that is inside `farfault_source_prepage`,
  /// once per round before any byte of it is read, and inside `farfault_source_switch_over`, where it adds to the
  /// downtime; never from two at once. Another status than FARFAULT_OK ends the function with that status, and
  /// everything that was sent counts as changed, so that a later attempt is sound.
  enum farfault_status (*collect)(void* user_data, struct farfault_dirty_sink* written);
  void* user_data;
};

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_DIRTY_LOG_H_
