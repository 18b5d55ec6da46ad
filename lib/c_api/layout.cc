#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "farfault/c.h"
#include "farfault/farfault.h"
#include "lib/c_api/structs.h"

// What the C API and the C++ API must agree on, and what an old program relies on: nothing here may change but by
// growing at the end of structs that begin with struct_size.
namespace farfault {
namespace {

#define FARFAULT_SAME(c, cc) static_assert(static_cast<long long>(c) == static_cast<long long>(cc), #c " is not " #cc)

FARFAULT_SAME(FARFAULT_OK, absl::StatusCode::kOk);
FARFAULT_SAME(FARFAULT_CANCELLED, absl::StatusCode::kCancelled);
FARFAULT_SAME(FARFAULT_UNKNOWN, absl::StatusCode::kUnknown);
FARFAULT_SAME(FARFAULT_INVALID_ARGUMENT, absl::StatusCode::kInvalidArgument);
FARFAULT_SAME(FARFAULT_DEADLINE_EXCEEDED, absl::StatusCode::kDeadlineExceeded);
FARFAULT_SAME(FARFAULT_NOT_FOUND, absl::StatusCode::kNotFound);
FARFAULT_SAME(FARFAULT_ALREADY_EXISTS, absl::StatusCode::kAlreadyExists);
FARFAULT_SAME(FARFAULT_PERMISSION_DENIED, absl::StatusCode::kPermissionDenied);
FARFAULT_SAME(FARFAULT_RESOURCE_EXHAUSTED, absl::StatusCode::kResourceExhausted);
FARFAULT_SAME(FARFAULT_FAILED_PRECONDITION, absl::StatusCode::kFailedPrecondition);
FARFAULT_SAME(FARFAULT_ABORTED, absl::StatusCode::kAborted);
FARFAULT_SAME(FARFAULT_OUT_OF_RANGE, absl::StatusCode::kOutOfRange);
FARFAULT_SAME(FARFAULT_UNIMPLEMENTED, absl::StatusCode::kUnimplemented);
FARFAULT_SAME(FARFAULT_INTERNAL, absl::StatusCode::kInternal);
FARFAULT_SAME(FARFAULT_UNAVAILABLE, absl::StatusCode::kUnavailable);
FARFAULT_SAME(FARFAULT_DATA_LOSS, absl::StatusCode::kDataLoss);
FARFAULT_SAME(FARFAULT_UNAUTHENTICATED, absl::StatusCode::kUnauthenticated);

FARFAULT_SAME(FARFAULT_EVENT_LISTENING, EventKind::kListening);
FARFAULT_SAME(FARFAULT_EVENT_WAITING_FOR_PEER, EventKind::kWaitingForPeer);
FARFAULT_SAME(FARFAULT_EVENT_CONNECTED, EventKind::kConnected);
FARFAULT_SAME(FARFAULT_EVENT_PREPARING, EventKind::kPreparing);
FARFAULT_SAME(FARFAULT_EVENT_PRE_PAGING, EventKind::kPrePaging);
FARFAULT_SAME(FARFAULT_EVENT_SWITCHED_OVER, EventKind::kSwitchedOver);
FARFAULT_SAME(FARFAULT_EVENT_MOVING, EventKind::kMoving);
FARFAULT_SAME(FARFAULT_EVENT_RESIDENT, EventKind::kResident);
FARFAULT_SAME(FARFAULT_EVENT_DRAINED, EventKind::kDrained);
FARFAULT_SAME(FARFAULT_EVENT_HINT, EventKind::kHint);
FARFAULT_SAME(FARFAULT_EVENT_FAILED, EventKind::kFailed);

FARFAULT_SAME(FARFAULT_STATE_CONNECTED, SessionState::kConnected);
FARFAULT_SAME(FARFAULT_STATE_PREPARED, SessionState::kPrepared);
FARFAULT_SAME(FARFAULT_STATE_SWITCHED_OVER, SessionState::kSwitchedOver);
FARFAULT_SAME(FARFAULT_STATE_RESIDENT, SessionState::kResident);
FARFAULT_SAME(FARFAULT_STATE_FAILED, SessionState::kFailed);
FARFAULT_SAME(FARFAULT_STATE_CLOSED, SessionState::kClosed);

FARFAULT_SAME(FARFAULT_SMALL_PAGE, kSmallPage);
FARFAULT_SAME(FARFAULT_HUGE_PAGE, kHugePage);
FARFAULT_SAME(FARFAULT_MAX_REGIONS, kMaxRegions);
FARFAULT_SAME(FARFAULT_MAX_REGION_NAME, kMaxRegionName);

#undef FARFAULT_SAME

// Structs without struct_size never change.
static_assert(sizeof(farfault_page_run) == sizeof(PageRun) && offsetof(farfault_page_run, count) == 8);
static_assert(sizeof(farfault_page_heat) == sizeof(PageHeat) && offsetof(farfault_page_heat, rounds_touched) == 8);
static_assert(sizeof(farfault_dirty_bitmap) == 32 && offsetof(farfault_dirty_bitmap, words) == 24);
static_assert(sizeof(farfault_dirty_log) == 16 && sizeof(farfault_event_listener) == 16);
static_assert(sizeof(farfault_guest_mapping) == 16 && offsetof(farfault_guest_mapping, length) == 8);
static_assert(sizeof(farfault_external_guest::pid) == sizeof(pid_t));

// The first fields of those that grow stay where they are: the last one of the first version, and its end.
static_assert(sizeof(enum farfault_status) == 4 && sizeof(enum farfault_event_kind) == 4);
static_assert(sizeof(farfault_region) == 56 && offsetof(farfault_region, fd) == 48);
static_assert(sizeof(farfault_placement) == 32 && offsetof(farfault_placement, transparent_huge_pages) == 24);
static_assert(sizeof(farfault_event) == 40 && offsetof(farfault_event, text) == 32);
static_assert(sizeof(farfault_predictor_callbacks) == 56 && offsetof(farfault_predictor_callbacks, destroy) == 48);
static_assert(sizeof(farfault_session_options) == 96 && offsetof(farfault_session_options, listener) == 80);
static_assert(sizeof(farfault_source_options) == 72 && offsetof(farfault_source_options, track_history) == 66);
static_assert(kFirstSize<farfault_destination_options> == 56 &&
              offsetof(farfault_destination_options, collapse_huge_pages) == 48);
static_assert(sizeof(farfault_prepage_budget) == 56 && offsetof(farfault_prepage_budget, critical_only) == 48);
static_assert(sizeof(farfault_prepage_report) == 48 && offsetof(farfault_prepage_report, elapsed_ns) == 40);
static_assert(kFirstSize<farfault_stats> == 200 && offsetof(farfault_stats, switchover_ns) == 192);
static_assert(sizeof(farfault_external_guest) == 32 && offsetof(farfault_external_guest, taken_over) == 26);
static_assert(sizeof(farfault_external_region) == 56 && offsetof(farfault_external_region, fd) == 48);

// What they have gained since stays there as well, and in no version do they end in padding.
static_assert(sizeof(farfault_destination_options) == 72 && offsetof(farfault_destination_options, state_file) == 56 &&
              offsetof(farfault_destination_options, record_faults) == 64 &&
              offsetof(farfault_destination_options, populate_early) == 65);
static_assert(sizeof(farfault_stats) == 224 && offsetof(farfault_stats, mtu) == 200 &&
              offsetof(farfault_stats, push_queue) == 216);

}  // namespace
}  // namespace farfault
