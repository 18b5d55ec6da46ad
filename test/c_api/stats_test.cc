#include "farfault/c/stats.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "farfault/c/session.h"
#include "farfault/session.h"
#include "lib/c_api/handles.h"

namespace farfault {
namespace {

/// A session that only has statistics.
class CountedSession final : public PagingSession {
 public:
  SessionState state() const override { return SessionState::kPrepared; }
  absl::Status status() const override { return absl::OkStatus(); }
  SessionStats Stats() const override {
    SessionStats stats;
    std::uint64_t value = 0;
    for (std::uint64_t* field : {&stats.total_pages,   &stats.hole_pages,       &stats.faults_network,
                                 &stats.faults_local,  &stats.pages_demanded,   &stats.pages_fetched,
                                 &stats.pages_pushed,  &stats.pages_prepaged,   &stats.pages_stale,
                                 &stats.duplicates,    &stats.bytes_received,   &stats.resident_pages,
                                 &stats.mapped_pages,  &stats.chunks_collapsed, &stats.collapses_declined,
                                 &stats.pages_sent,    &stats.pages_yielded,    &stats.bytes_sent,
                                 &stats.hints_seen,    &stats.hints_lost,       &stats.predictor_out_of_range,
                                 &stats.prepage_rounds}) {
      *field = ++value;
    }
    for (std::uint32_t* field :
         {&stats.mtu, &stats.reads_at_once, &stats.inline_bytes, &stats.demand_queue, &stats.push_queue}) {
      *field = static_cast<std::uint32_t>(++value);
    }
    stats.rails = {{"RDMA device rxe0", 28, 29}, {std::string(200, 'x'), 30, 31}};
    stats.metadata_bytes_per_page = 1.5;
    stats.switchover_ns = 99;
    stats.stall_network.Record(1000);
    return stats;
  }
  void Cancel() override {}
};

TEST_CASE("statistics go from C++ to C one by one") {
  CountedSession counted;
  const farfault_session session{.session = &counted};
  farfault_stats stats{};
  stats.struct_size = sizeof(stats);
  farfault_histogram network;
  farfault_histogram local;
  local.histogram.Record(5);
  REQUIRE(farfault_session_stats(&session, &stats, &network, &local) == FARFAULT_OK);
  // In the order of the header.
  std::array<std::uint64_t, 23> counters{};
  std::memcpy(counters.data(), &stats, sizeof(counters));
  CHECK(counters[0] == sizeof(stats));
  for (std::uint64_t i = 1; i < counters.size(); ++i) CHECK(counters[i] == i);
  CHECK(stats.metadata_bytes_per_page == 1.5);
  CHECK(stats.switchover_ns == 99);
  CHECK((stats.mtu == 23 && stats.reads_at_once == 24 && stats.inline_bytes == 25));
  CHECK((stats.demand_queue == 26 && stats.push_queue == 27 && stats.rails == 2));
  CHECK(farfault_histogram_max(&network) == 1000);
  CHECK(farfault_histogram_count(&local) == 0);

  // Of a program that does not know the last six.
  std::memset(static_cast<void*>(&stats), 0xff, sizeof(stats));
  stats.struct_size = offsetof(farfault_stats, mtu);
  REQUIRE(farfault_session_stats(&session, &stats, nullptr, nullptr) == FARFAULT_OK);
  CHECK(stats.switchover_ns == 99);
  CHECK((stats.mtu == UINT32_MAX && stats.rails == UINT32_MAX));
}

TEST_CASE("each rail tells its own, with as much of its path as there is room for") {
  CountedSession counted;
  const farfault_session session{.session = &counted};
  farfault_rail_stats rail{};
  rail.struct_size = sizeof(rail);
  REQUIRE(farfault_session_rail(&session, 0, &rail) == FARFAULT_OK);
  CHECK((rail.bytes_read == 28 && rail.bytes_written == 29));
  CHECK(std::string(rail.path) == "RDMA device rxe0");
  REQUIRE(farfault_session_rail(&session, 1, &rail) == FARFAULT_OK);
  CHECK((rail.bytes_read == 30 && rail.bytes_written == 31));
  CHECK(std::string(rail.path) == std::string(127, 'x'));
  CHECK(farfault_session_rail(&session, 2, &rail) == FARFAULT_OUT_OF_RANGE);
  rail.struct_size = 8;
  CHECK(farfault_session_rail(&session, 0, &rail) == FARFAULT_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace farfault
