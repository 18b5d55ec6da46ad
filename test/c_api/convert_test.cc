#include "lib/c_api/convert.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "farfault/c.h"
#include "lib/c_api/handles.h"

// Every field of the C structs is that field of the C++ ones, and has its default.
namespace farfault {
namespace {

template <typename T>
T OfC(absl::StatusOr<T> made) {
  INFO(made.status().ToString());
  REQUIRE(made.ok());
  return *std::move(made);
}

void CheckSame(const SessionOptions& a, const SessionOptions& b) {
  CHECK(a.connect == b.connect);
  CHECK(a.listen == b.listen);
  CHECK(a.pre_shared_key == b.pre_shared_key);
  CHECK(a.peer_timeout == b.peer_timeout);
  CHECK(a.handshake_timeout == b.handshake_timeout);
  CHECK(a.prepare_timeout == b.prepare_timeout);
  CHECK(a.push_channels == b.push_channels);
  CHECK(a.demand_channels == b.demand_channels);
  CHECK(static_cast<bool>(a.on_event) == static_cast<bool>(b.on_event));
}

void CheckSame(const SourceOptions& a, const SourceOptions& b) {
  CheckSame(static_cast<const SessionOptions&>(a), static_cast<const SessionOptions&>(b));
  CHECK(a.push.enabled == b.push.enabled);
  CHECK(a.push.window_bytes == b.push.window_bytes);
  CHECK(a.push.batch_bytes == b.push.batch_bytes);
  CHECK(a.track_dirty == b.track_dirty);
  CHECK(a.track_history == b.track_history);
  CHECK(static_cast<bool>(a.dirty_log) == static_cast<bool>(b.dirty_log));
  CHECK(a.spin == b.spin);
}

void CheckSame(const DestinationOptions& a, const DestinationOptions& b) {
  CheckSame(static_cast<const SessionOptions&>(a), static_cast<const SessionOptions&>(b));
  CHECK(a.spin == b.spin);
  CHECK(a.max_outstanding_faults == b.max_outstanding_faults);
  CHECK(a.map_around_pages == b.map_around_pages);
  CHECK(a.collapse_huge_pages == b.collapse_huge_pages);
  CHECK(a.prepare_threads == b.prepare_threads);
  CHECK(a.staging_bytes == b.staging_bytes);
}

void CheckSame(const PrePageBudget& a, const PrePageBudget& b) {
  CHECK(a.bytes == b.bytes);
  CHECK(a.time == b.time);
  CHECK(a.critical == b.critical);
  CHECK(a.critical_only == b.critical_only);
  CHECK(a.observe == b.observe);
}

farfault_session_options Session() {
  farfault_session_options session;
  farfault_session_options_init(&session, sizeof(session));
  return session;
}

TEST_CASE("the defaults of the C API are those of C++") {
  const farfault_session_options session = Session();
  const SourceOptions source = OfC(SourceOptionsFromC(&session, nullptr, {}));
  CheckSame(source, SourceOptions{});
  CHECK(source.predictor != nullptr);
  CheckSame(OfC(DestinationOptionsFromC(&session, nullptr)), DestinationOptions{});
  farfault_source_options source_options;
  farfault_source_options_init(&source_options, sizeof(source_options));
  CheckSame(OfC(SourceOptionsFromC(&session, &source_options, {})), SourceOptions{});
  farfault_destination_options destination_options;
  farfault_destination_options_init(&destination_options, sizeof(destination_options));
  CheckSame(OfC(DestinationOptionsFromC(&session, &destination_options)), DestinationOptions{});
  farfault_prepage_budget budget;
  farfault_prepage_budget_init(&budget, sizeof(budget));
  CheckSame(OfC(BudgetFromC(&budget)), PrePageBudget{});
  const auto placement = OfC(PlacementFromC(nullptr));
  const OwnedRegion::Placement defaults;
  CHECK(placement.page_size == defaults.page_size);
  CHECK(placement.transparent_huge_pages == defaults.transparent_huge_pages);
}

TEST_CASE("options of a session go from C to C++ one by one") {
  std::vector<std::string> heard;
  const std::string key("k\0y", 3);
  farfault_session_options session = Session();
  session.connect = "tcp://192.0.2.1:1";
  session.listen = "tcp://192.0.2.2:2";
  session.pre_shared_key = key.data();
  session.pre_shared_key_size = key.size();
  session.peer_timeout_ns = 1001;
  session.handshake_timeout_ns = FARFAULT_FOREVER;
  session.prepare_timeout_ns = 1003;
  session.push_channels = 3;
  session.demand_channels = 4;
  session.listener.user_data = &heard;
  session.listener.on_event = [](void* user_data, const farfault_event* event) {
    REQUIRE(event->struct_size == sizeof(*event));
    static_cast<std::vector<std::string>*>(user_data)->push_back(std::string(farfault_event_kind_name(event->kind)) +
                                                                 " " + std::to_string(event->done) + "/" +
                                                                 std::to_string(event->total) + " " + event->text);
  };
  SessionOptions expected;
  expected.connect = "tcp://192.0.2.1:1";
  expected.listen = "tcp://192.0.2.2:2";
  expected.pre_shared_key = key;
  expected.peer_timeout = absl::Nanoseconds(1001);
  expected.handshake_timeout = absl::InfiniteDuration();
  expected.prepare_timeout = absl::Nanoseconds(1003);
  expected.push_channels = 3;
  expected.demand_channels = 4;
  expected.on_event = [](const Event&) {};
  const SessionOptions made = OfC(SessionOptionsFromC(&session));
  CheckSame(made, expected);
  made.on_event({EventKind::kMoving, 5, 7, "text"});
  CHECK(heard == std::vector<std::string>{"moving 5/7 text"});
}

TEST_CASE("options of a source go from C to C++ one by one") {
  const farfault_session_options session = Session();
  farfault_source_options source;
  farfault_source_options_init(&source, sizeof(source));
  const auto check_one = [&](auto change_c, auto change_cxx) {
    farfault_source_options changed = source;
    SourceOptions expected;
    change_c(changed);
    change_cxx(expected);
    CheckSame(OfC(SourceOptionsFromC(&session, &changed, {})), expected);
  };
  check_one([](auto& c) { c.push_window_bytes = 77; }, [](auto& cxx) { cxx.push.window_bytes = 77; });
  check_one([](auto& c) { c.push_batch_bytes = 78; }, [](auto& cxx) { cxx.push.batch_bytes = 78; });
  check_one([](auto& c) { c.spin_ns = 79; }, [](auto& cxx) { cxx.spin = absl::Nanoseconds(79); });
  check_one([](auto& c) { c.push = false; }, [](auto& cxx) { cxx.push.enabled = false; });
  check_one([](auto& c) { c.track_dirty = false; }, [](auto& cxx) { cxx.track_dirty = false; });
  check_one([](auto& c) { c.track_history = false; }, [](auto& cxx) { cxx.track_history = false; });
  check_one([](auto& c) { c.dirty_log.collect = [](void*, farfault_dirty_sink*) { return FARFAULT_OK; }; },
            [](auto& cxx) { cxx.dirty_log = [](std::vector<PageRun>*) { return absl::OkStatus(); }; });
}

TEST_CASE("options of a destination go from C to C++ one by one") {
  const farfault_session_options session = Session();
  farfault_destination_options destination;
  farfault_destination_options_init(&destination, sizeof(destination));
  destination.spin_ns = 11;
  destination.max_outstanding_faults = 12;
  destination.map_around_pages = 13;
  destination.collapse_huge_pages = false;
  destination.prepare_threads = 14;
  destination.staging_bytes = 15;
  DestinationOptions expected;
  expected.spin = absl::Nanoseconds(11);
  expected.max_outstanding_faults = 12;
  expected.map_around_pages = 13;
  expected.collapse_huge_pages = false;
  expected.prepare_threads = 14;
  expected.staging_bytes = 15;
  CheckSame(OfC(DestinationOptionsFromC(&session, &destination)), expected);
}

TEST_CASE("a budget and a placement go from C to C++ one by one") {
  const std::array<farfault_page_run, 2> critical = {{{5, 6}, {7, 8}}};
  farfault_prepage_budget budget;
  farfault_prepage_budget_init(&budget, sizeof(budget));
  budget.bytes = 21;
  budget.time_ns = 22;
  budget.critical = critical.data();
  budget.critical_count = critical.size();
  budget.critical_only = true;
  budget.observe_ns = 23;
  PrePageBudget expected;
  expected.bytes = 21;
  expected.time = absl::Nanoseconds(22);
  expected.critical = {{5, 6}, {7, 8}};
  expected.critical_only = true;
  expected.observe = absl::Nanoseconds(23);
  CheckSame(OfC(BudgetFromC(&budget)), expected);
  budget.critical = nullptr;
  CHECK(absl::IsInvalidArgument(BudgetFromC(&budget).status()));

  int here = 0;
  farfault_placement placement;
  farfault_placement_init(&placement, sizeof(placement));
  placement.page_size = kHugePage;
  placement.fixed_address = &here;
  placement.transparent_huge_pages = false;
  const OwnedRegion::Placement made = OfC(PlacementFromC(&placement));
  CHECK(made.page_size == kHugePage);
  CHECK(made.fixed_address == &here);
  CHECK_FALSE(made.transparent_huge_pages);
}

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
  CHECK(farfault_histogram_max(&network) == 1000);
  CHECK(farfault_histogram_count(&local) == 0);
}

}  // namespace
}  // namespace farfault
