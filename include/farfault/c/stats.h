#ifndef FARFAULT_C_STATS_H_
#define FARFAULT_C_STATS_H_

#include <stddef.h>
#include <stdint.h>

#include "farfault/c/status.h"
#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A log-linear histogram of durations in nanoseconds: 32 linear steps per power of two, so that a quantile is at most
/// 3.2 % above the true value. Fixed size.
struct farfault_histogram;

/// An empty one.
FARFAULT_EXPORT enum farfault_status farfault_histogram_create(struct farfault_histogram** histogram);
FARFAULT_EXPORT void farfault_histogram_destroy(struct farfault_histogram* histogram);

FARFAULT_EXPORT void farfault_histogram_record(struct farfault_histogram* histogram, int64_t duration_ns);
/// Adds all samples of `other`.
FARFAULT_EXPORT void farfault_histogram_merge(struct farfault_histogram* histogram,
                                              const struct farfault_histogram* other);

FARFAULT_EXPORT uint64_t farfault_histogram_count(const struct farfault_histogram* histogram);
FARFAULT_EXPORT int64_t farfault_histogram_sum(const struct farfault_histogram* histogram);
/// Exact extremes; 0 when empty.
FARFAULT_EXPORT int64_t farfault_histogram_min(const struct farfault_histogram* histogram);
FARFAULT_EXPORT int64_t farfault_histogram_max(const struct farfault_histogram* histogram);
/// The smallest recorded duration that at least `q` of all samples do not exceed, rounded up to its bucket's upper edge
/// but never above the maximum; q in [0, 1]. 0 when empty.
FARFAULT_EXPORT int64_t farfault_histogram_quantile(const struct farfault_histogram* histogram, double q);

/// What one side of a session has counted so far.
struct farfault_stats {
  size_t struct_size;

  // Both sides.
  uint64_t total_pages;
  /// Pages known to have never been populated; they are not transferred.
  uint64_t hole_pages;

  // Destination.
  /// Faults that had to wait for the wire, and faults whose bytes had already landed (or that met a hole).
  uint64_t faults_network;
  uint64_t faults_local;
  /// Pages whose bytes came by READ on demand, by READ ahead of demand (`farfault_destination_fetch`,
  /// `farfault_destination_fetch_rest`), by push, before the switchover.
  uint64_t pages_demanded;
  uint64_t pages_fetched;
  uint64_t pages_pushed;
  uint64_t pages_prepaged;
  /// Pre-paged pages that the guest wrote again before the switchover and that were forgotten.
  uint64_t pages_stale;
  /// Pages that arrived although their bytes were there or on their way already.
  uint64_t duplicates;
  /// Payload bytes received, duplicates included.
  uint64_t bytes_received;
  uint64_t resident_pages;
  uint64_t mapped_pages;
  /// 2 MiB chunks that were given back to a huge mapping, and attempts that the kernel declined.
  uint64_t chunks_collapsed;
  uint64_t collapses_declined;

  // Source.
  uint64_t pages_sent;
  uint64_t pages_yielded;
  uint64_t bytes_sent;
  uint64_t hints_seen;
  uint64_t hints_lost;
  uint64_t predictor_out_of_range;
  uint64_t prepage_rounds;

  /// Bytes that farfault keeps per page of guest memory on this side (tables and bitmaps).
  double metadata_bytes_per_page;
  /// Nanoseconds from the call of `farfault_source_switch_over` until the destination said that its guest may run.
  int64_t switchover_ns;

  // Both sides.
  /// What this side's device and the peer's have agreed on for each demand channel: bytes of memory that one packet
  /// carries (0 where nobody can tell, as over tcp), READs on their way at once, bytes that travel inside a request.
  /// And the requests that each demand and push channel of this side takes. With several rails the least of each.
  uint32_t mtu;
  uint32_t reads_at_once;
  uint32_t inline_bytes;
  uint32_t demand_queue;
  uint32_t push_queue;
  /// The rails that the session's address names, which `farfault_session_rail` tells of; 0: none.
  uint32_t rails;
};

/// What this side of a session has moved over one of its rails by requests of its own: READs at the destination, WRITEs
/// at the source, and the few bytes that go with them.
struct farfault_rail_stats {
  size_t struct_size;
  uint64_t bytes_read;
  uint64_t bytes_written;
  /// "RDMA device rxe0, port 1, GID 1", or the rail's address where there is no device; cut off after 127 bytes.
  char path[128];
};

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_STATS_H_
