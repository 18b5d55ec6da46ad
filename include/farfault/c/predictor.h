#ifndef FARFAULT_C_PREDICTOR_H_
#define FARFAULT_C_PREDICTOR_H_

#include <stddef.h>
#include <stdint.h>

#include "farfault/c/memory.h"
#include "farfault/c/status.h"
#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/// How often a page was touched while the guest still ran at the source.
struct farfault_page_heat {
  uint64_t page;
  /// Number of history rounds in which the page was seen touched, 1 and up.
  uint32_t rounds_touched;
  uint32_t reserved;
};

/// A policy of one's own for the order in which the source pushes pages.
///
/// The pusher drops what is already sent, wanted by the destination or a hole, so a policy may repeat itself and need
/// not keep books. When a policy has no opinion the pusher sweeps the rest in ascending order, so every migration ends
/// whatever the policy does.
///
/// Thread contract: after the session has been created all calls come from the session's own thread, one at a time;
/// before that, `on_layout` comes from the thread that creates it. It needs no lock. It must not block: every
/// microsecond here delays the push. Only `on_fault` and `next` have to be there.
struct farfault_predictor_callbacks {
  size_t struct_size;
  void* user_data;
  /// The layout of the memory, once, before any other call: `regions[i]` is the run of region i's pages.
  void (*on_layout)(void* user_data, const struct farfault_page_run* regions, size_t count);
  /// What the guest touched before the switchover, hottest first. Called at most once, at the switchover, and only when
  /// the session recorded access history.
  void (*on_history)(void* user_data, const struct farfault_page_heat* hottest_first, size_t count);
  /// The destination reported a far fault on `page`. Of `when_ns` only differences mean anything.
  void (*on_fault)(void* user_data, uint64_t page, int64_t when_ns);
  /// Writes up to `capacity` runs that should be pushed next, best first, and returns how many; 0 means no opinion. The
  /// runs may be clipped or split. Pages outside the layout are dropped and counted in
  /// `farfault_stats.predictor_out_of_range`.
  size_t (*next)(void* user_data, struct farfault_page_run* runs, size_t capacity);
  /// Called once, when a session that was made with these callbacks has been destroyed; may be NULL. Not called when
  /// making the session has failed.
  void (*destroy)(void* user_data);
};

/// One of the policies that come with farfault, to be asked by a policy of one's own. A session does not need it: see
/// `farfault_source_options.predictor`. One thread at a time.
struct farfault_predictor;

/// `specification`: "none", "sequential", "bubbling" (pivots that grow in both directions around recent faults), and
/// variants of the last one by suffix: "bubbling:pivots=1", "bubbling:pivots=8,direction=forward".
/// FARFAULT_INVALID_ARGUMENT names the known ones.
FARFAULT_EXPORT enum farfault_status farfault_predictor_create(const char* specification,
                                                               struct farfault_predictor** predictor);
FARFAULT_EXPORT void farfault_predictor_destroy(struct farfault_predictor* predictor);

/// As the callbacks of the same names above.
FARFAULT_EXPORT enum farfault_status farfault_predictor_on_layout(struct farfault_predictor* predictor,
                                                                  const struct farfault_page_run* regions,
                                                                  size_t count);
FARFAULT_EXPORT enum farfault_status farfault_predictor_on_history(struct farfault_predictor* predictor,
                                                                   const struct farfault_page_heat* hottest_first,
                                                                   size_t count);
FARFAULT_EXPORT void farfault_predictor_on_fault(struct farfault_predictor* predictor, uint64_t page, int64_t when_ns);
FARFAULT_EXPORT size_t farfault_predictor_next(struct farfault_predictor* predictor, struct farfault_page_run* runs,
                                               size_t capacity);

/// The policies that come with farfault, for help texts: name and what it is good for. Constants; NULL from
/// `farfault_predictor_known_count()` on.
FARFAULT_EXPORT size_t farfault_predictor_known_count(void);
FARFAULT_EXPORT const char* farfault_predictor_known_name(size_t index);
FARFAULT_EXPORT const char* farfault_predictor_known_summary(size_t index);

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_PREDICTOR_H_
