#include "farfault/c/stats.h"

#include <fmt/format.h>

#include <cstdint>

#include "lib/c_api/handles.h"
#include "lib/c_api/status.h"
#include "lib/c_api/structs.h"

using farfault::Guarded;

enum farfault_status farfault_histogram_create(farfault_histogram** histogram) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status set = farfault::NotNull(histogram, "histogram"); !set.ok()) return set;
    *histogram = new farfault_histogram;
    return absl::OkStatus();
  });
}

void farfault_histogram_destroy(farfault_histogram* histogram) { delete histogram; }

void farfault_histogram_record(farfault_histogram* histogram, int64_t duration_ns) {
  histogram->histogram.Record(duration_ns);
}
void farfault_histogram_merge(farfault_histogram* histogram, const farfault_histogram* other) {
  histogram->histogram.Merge(other->histogram);
}
uint64_t farfault_histogram_count(const farfault_histogram* histogram) { return histogram->histogram.count(); }
int64_t farfault_histogram_sum(const farfault_histogram* histogram) { return histogram->histogram.sum(); }
int64_t farfault_histogram_min(const farfault_histogram* histogram) { return histogram->histogram.min(); }
int64_t farfault_histogram_max(const farfault_histogram* histogram) { return histogram->histogram.max(); }
int64_t farfault_histogram_quantile(const farfault_histogram* histogram, double q) {
  return histogram->histogram.Quantile(q);
}

namespace {

farfault_stats StatsForC(const farfault::SessionStats& stats) {
  return {.struct_size = sizeof(farfault_stats),
          .total_pages = stats.total_pages,
          .hole_pages = stats.hole_pages,
          .faults_network = stats.faults_network,
          .faults_local = stats.faults_local,
          .pages_demanded = stats.pages_demanded,
          .pages_fetched = stats.pages_fetched,
          .pages_pushed = stats.pages_pushed,
          .pages_prepaged = stats.pages_prepaged,
          .pages_stale = stats.pages_stale,
          .duplicates = stats.duplicates,
          .bytes_received = stats.bytes_received,
          .resident_pages = stats.resident_pages,
          .mapped_pages = stats.mapped_pages,
          .chunks_collapsed = stats.chunks_collapsed,
          .collapses_declined = stats.collapses_declined,
          .pages_sent = stats.pages_sent,
          .pages_yielded = stats.pages_yielded,
          .bytes_sent = stats.bytes_sent,
          .hints_seen = stats.hints_seen,
          .hints_lost = stats.hints_lost,
          .predictor_out_of_range = stats.predictor_out_of_range,
          .prepage_rounds = stats.prepage_rounds,
          .metadata_bytes_per_page = stats.metadata_bytes_per_page,
          .switchover_ns = stats.switchover_ns,
          .mtu = stats.mtu,
          .reads_at_once = stats.reads_at_once,
          .inline_bytes = stats.inline_bytes,
          .demand_queue = stats.demand_queue,
          .push_queue = stats.push_queue,
          .rails = static_cast<std::uint32_t>(stats.rails.size())};
}

}  // namespace

enum farfault_status farfault_session_stats(const farfault_session* session, farfault_stats* stats,
                                            farfault_histogram* stall_network, farfault_histogram* stall_local) {
  return Guarded([&]() -> absl::Status {
    if (stats != nullptr) {
      if (absl::Status checked = farfault::CheckSize(stats, "stats"); !checked.ok()) return checked;
    }
    const farfault::SessionStats snapshot = session->session->Stats();
    if (stats != nullptr) farfault::WriteStruct(StatsForC(snapshot), stats);
    if (stall_network != nullptr) stall_network->histogram = snapshot.stall_network;
    if (stall_local != nullptr) stall_local->histogram = snapshot.stall_local;
    return absl::OkStatus();
  });
}

enum farfault_status farfault_session_rail(const farfault_session* session, size_t index, farfault_rail_stats* rail) {
  return Guarded([&]() -> absl::Status {
    if (absl::Status checked = farfault::CheckSize(rail, "rail"); !checked.ok()) return checked;
    const farfault::SessionStats stats = session->session->Stats();
    if (index >= stats.rails.size()) {
      return absl::OutOfRangeError(fmt::format("rail {} of a session with {}", index, stats.rails.size()));
    }
    const farfault::RailStats& found = stats.rails[index];
    farfault_rail_stats known{
        .struct_size = sizeof(known), .bytes_read = found.bytes_read, .bytes_written = found.bytes_written, .path = {}};
    found.path.copy(known.path, sizeof(known.path) - 1);
    farfault::WriteStruct(known, rail);
    return absl::OkStatus();
  });
}
