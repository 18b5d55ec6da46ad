#ifndef FARFAULT_STATS_H_
#define FARFAULT_STATS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "farfault/export.h"

namespace farfault {

/// A log-linear histogram of durations in nanoseconds: 32 linear steps per power of two, so that a quantile is at
/// most 3.2 % above the true value. Fixed size, no allocation. One writer; copy it to read it.
class FARFAULT_EXPORT LatencyHistogram {
 public:
  void Record(std::int64_t nanoseconds);
  void Merge(const LatencyHistogram& other);

  std::uint64_t count() const { return count_; }
  std::int64_t sum() const { return sum_; }
  /// Exact extremes; 0 when empty.
  std::int64_t min() const { return count_ == 0 ? 0 : min_; }
  std::int64_t max() const { return max_; }
  /// The smallest recorded duration that at least `q` of all samples do not exceed, rounded up to its bucket's
  /// upper edge but never above `max()`; q in [0, 1]. 0 when empty.
  std::int64_t Quantile(double q) const;

 private:
  static constexpr std::size_t kSubBuckets = 32;
  static constexpr std::size_t kBuckets = 59 * kSubBuckets;
  static std::size_t BucketOf(std::uint64_t value);
  static std::uint64_t UpperEdge(std::size_t bucket);

  std::array<std::uint32_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::int64_t sum_ = 0;
  std::int64_t min_ = INT64_MAX;
  std::int64_t max_ = 0;
};

/// What this side of a session has moved over one of its rails by requests of its own: READs at the destination, WRITEs
/// at the source, and the few bytes that go with them.
struct RailStats {
  /// "RDMA device rxe0, port 1, GID 1", or the rail's address where there is no device.
  std::string path;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
};

/// What one side of a session has counted so far. A snapshot: plain values.
struct SessionStats {
  // Both sides.
  std::uint64_t total_pages = 0;
  /// Pages known to have never been populated; they are not transferred.
  std::uint64_t hole_pages = 0;
  /// What this side's device and the peer's have agreed on for each demand channel: bytes of memory that one packet
  /// carries (0 where nobody can tell, as over tcp), READs on their way at once, bytes that travel inside a request.
  /// And the requests that each demand and push channel of this side takes. With several rails the least of each.
  std::uint32_t mtu = 0;
  std::uint32_t reads_at_once = 0;
  std::uint32_t inline_bytes = 0;
  std::uint32_t demand_queue = 0;
  std::uint32_t push_queue = 0;
  /// In the order of the address; empty where it names no rails.
  std::vector<RailStats> rails;

  // Destination.
  /// Faults that had to wait for the wire, and faults whose bytes had already landed (or that met a hole).
  std::uint64_t faults_network = 0;
  std::uint64_t faults_local = 0;
  /// Pages whose bytes came by READ on demand, by READ ahead of demand (`FetchRest`), by push, before the switchover.
  std::uint64_t pages_demanded = 0;
  std::uint64_t pages_fetched = 0;
  std::uint64_t pages_pushed = 0;
  std::uint64_t pages_prepaged = 0;
  /// Pre-paged pages that the guest wrote again before the switchover and that were forgotten.
  std::uint64_t pages_stale = 0;
  /// Pages that arrived although their bytes were there or on their way already.
  std::uint64_t duplicates = 0;
  /// Payload bytes received, duplicates included.
  std::uint64_t bytes_received = 0;
  std::uint64_t resident_pages = 0;
  std::uint64_t mapped_pages = 0;
  /// 2 MiB chunks that were given back to a huge mapping, and attempts that the kernel declined.
  std::uint64_t chunks_collapsed = 0;
  std::uint64_t collapses_declined = 0;
  /// From the moment the pager saw the fault until the thread was woken, network and local faults apart.
  LatencyHistogram stall_network;
  LatencyHistogram stall_local;

  // Source.
  std::uint64_t pages_sent = 0;
  std::uint64_t pages_yielded = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t hints_seen = 0;
  std::uint64_t hints_lost = 0;
  std::uint64_t predictor_out_of_range = 0;
  std::uint64_t prepage_rounds = 0;

  /// Bytes that farfault keeps per page of guest memory on this side (tables, bitmaps, history). While
  /// `SourceSession::PrePage` runs, its plan takes some more.
  double metadata_bytes_per_page = 0;
  /// Nanoseconds from the call of `SwitchOver` (source) until the destination said that its guest may run.
  std::int64_t switchover_ns = 0;
};

}  // namespace farfault

#endif  // FARFAULT_STATS_H_
