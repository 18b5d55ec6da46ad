#include "lib/c_api/convert.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "farfault/c.h"

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
  CHECK(a.record_faults == b.record_faults);
  CHECK(a.populate_early == b.populate_early);
  CHECK(a.state_file == b.state_file);
  CHECK(a.staging_bytes == b.staging_bytes);
}

void CheckSame(const ExternalGuest& a, const ExternalGuest& b) {
  CHECK(a.userfaultfd == b.userfaultfd);
  CHECK(a.features == b.features);
  CHECK(a.registered == b.registered);
  CHECK(a.running == b.running);
  CHECK(a.taken_over == b.taken_over);
  CHECK(a.pid == b.pid);
}

void CheckSame(const ExternalRegion& a, const ExternalRegion& b) {
  CHECK(a.name == b.name);
  CHECK(a.page_size == b.page_size);
  CHECK(a.fd == b.fd);
  CHECK(a.file_offset == b.file_offset);
  REQUIRE(a.mappings.size() == b.mappings.size());
  for (std::size_t i = 0; i < a.mappings.size(); ++i) {
    CHECK(a.mappings[i].address == b.mappings[i].address);
    CHECK(a.mappings[i].length == b.mappings[i].length);
  }
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
  farfault_external_guest guest;
  farfault_external_guest_init(&guest, sizeof(guest));
  CheckSame(OfC(ExternalGuestFromC(&guest)), ExternalGuest{});
  farfault_external_region region;
  farfault_external_region_init(&region, sizeof(region));
  CheckSame(OfC(ExternalRegionFromC(&region)), ExternalRegion{});
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
  destination.state_file = "/dev/shm/state";
  destination.record_faults = true;
  destination.populate_early = true;
  DestinationOptions expected;
  expected.spin = absl::Nanoseconds(11);
  expected.max_outstanding_faults = 12;
  expected.map_around_pages = 13;
  expected.collapse_huge_pages = false;
  expected.prepare_threads = 14;
  expected.staging_bytes = 15;
  expected.state_file = "/dev/shm/state";
  expected.record_faults = true;
  expected.populate_early = true;
  CheckSame(OfC(DestinationOptionsFromC(&session, &destination)), expected);
  // Of a program that does not know the last three.
  destination.struct_size = offsetof(farfault_destination_options, state_file);
  expected.state_file = "";
  expected.record_faults = false;
  expected.populate_early = false;
  CheckSame(OfC(DestinationOptionsFromC(&session, &destination)), expected);
  destination.struct_size = sizeof(destination);
  destination.reserved_end[5] = 1;
  CHECK(absl::IsInvalidArgument(DestinationOptionsFromC(&session, &destination).status()));
}

TEST_CASE("a guest in another process goes from C to C++ one by one") {
  farfault_external_guest guest;
  farfault_external_guest_init(&guest, sizeof(guest));
  const auto check_one = [&](auto change_c, auto change_cxx) {
    farfault_external_guest changed = guest;
    ExternalGuest expected;
    change_c(changed);
    change_cxx(expected);
    CheckSame(OfC(ExternalGuestFromC(&changed)), expected);
    const farfault_external_guest back = ExternalGuestForC(expected);
    CHECK(std::memcmp(&back, &changed, sizeof(back)) == 0);
  };
  check_one([](auto& c) { c.userfaultfd = 31; }, [](auto& cxx) { cxx.userfaultfd = 31; });
  check_one([](auto& c) { c.features = UINT64_MAX; }, [](auto& cxx) { cxx.features = UINT64_MAX; });
  check_one([](auto& c) { c.registered = true; }, [](auto& cxx) { cxx.registered = true; });
  check_one([](auto& c) { c.running = true; }, [](auto& cxx) { cxx.running = true; });
  check_one([](auto& c) { c.taken_over = true; }, [](auto& cxx) { cxx.taken_over = true; });
  check_one([](auto& c) { c.pid = 32; }, [](auto& cxx) { cxx.pid = 32; });

  const std::array<farfault_guest_mapping, 2> mappings = {{{41, 42}, {43, 44}}};
  farfault_external_region region;
  farfault_external_region_init(&region, sizeof(region));
  region.name = "ram";
  region.page_size = kHugePage;
  region.mappings = mappings.data();
  region.mapping_count = mappings.size();
  region.file_offset = 45;
  region.fd = 46;
  CheckSame(OfC(ExternalRegionFromC(&region)),
            {.name = "ram", .page_size = kHugePage, .mappings = {{41, 42}, {43, 44}}, .fd = 46, .file_offset = 45});
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

}  // namespace
}  // namespace farfault
