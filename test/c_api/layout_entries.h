#ifndef FARFAULT_TEST_C_API_LAYOUT_ENTRIES_H_
#define FARFAULT_TEST_C_API_LAYOUT_ENTRIES_H_

#include <stdalign.h>
#include <stddef.h>

#include "farfault/c.h"

/// What one compiler makes of the structs in the headers.
struct layout_entry {
  const char* what;
  size_t value;
};

#define LAYOUT_SIZE(type) \
  {#type, sizeof(struct type)}, { #type " alignment", alignof(struct type) }
#define LAYOUT_FIELD(type, field) {#type "." #field, offsetof(struct type, field)}

// The size of every struct, and where every field that follows one of another kind lies.
#define LAYOUT_ENTRIES                                                                                                \
  LAYOUT_SIZE(farfault_page_run), LAYOUT_SIZE(farfault_page_heat), LAYOUT_SIZE(farfault_dirty_bitmap),                \
      LAYOUT_SIZE(farfault_dirty_log), LAYOUT_SIZE(farfault_event_listener), LAYOUT_SIZE(farfault_region),            \
      LAYOUT_FIELD(farfault_region, name), LAYOUT_FIELD(farfault_region, length), LAYOUT_FIELD(farfault_region, fd),  \
      LAYOUT_FIELD(farfault_region, reserved), LAYOUT_SIZE(farfault_guest_mapping),                                   \
      LAYOUT_SIZE(farfault_external_guest), LAYOUT_FIELD(farfault_external_guest, userfaultfd),                       \
      LAYOUT_FIELD(farfault_external_guest, registered), LAYOUT_FIELD(farfault_external_guest, reserved),             \
      LAYOUT_SIZE(farfault_external_region), LAYOUT_FIELD(farfault_external_region, mappings),                        \
      LAYOUT_FIELD(farfault_external_region, fd), LAYOUT_FIELD(farfault_external_region, reserved),                   \
      LAYOUT_SIZE(farfault_placement), LAYOUT_FIELD(farfault_placement, transparent_huge_pages),                      \
      LAYOUT_FIELD(farfault_placement, reserved), LAYOUT_SIZE(farfault_event), LAYOUT_FIELD(farfault_event, kind),    \
      LAYOUT_FIELD(farfault_event, done), LAYOUT_FIELD(farfault_event, text),                                         \
      LAYOUT_SIZE(farfault_predictor_callbacks), LAYOUT_FIELD(farfault_predictor_callbacks, next),                    \
      LAYOUT_SIZE(farfault_session_options), LAYOUT_FIELD(farfault_session_options, peer_timeout_ns),                 \
      LAYOUT_FIELD(farfault_session_options, push_channels), LAYOUT_FIELD(farfault_session_options, listener),        \
      LAYOUT_SIZE(farfault_source_options), LAYOUT_FIELD(farfault_source_options, dirty_log),                         \
      LAYOUT_FIELD(farfault_source_options, push), LAYOUT_FIELD(farfault_source_options, track_dirty),                \
      LAYOUT_FIELD(farfault_source_options, track_history), LAYOUT_FIELD(farfault_source_options, reserved),          \
      LAYOUT_SIZE(farfault_destination_options), LAYOUT_FIELD(farfault_destination_options, collapse_huge_pages),     \
      LAYOUT_FIELD(farfault_destination_options, reserved), LAYOUT_FIELD(farfault_destination_options, state_file),   \
      LAYOUT_FIELD(farfault_destination_options, record_faults),                                                      \
      LAYOUT_FIELD(farfault_destination_options, populate_early),                                                     \
      LAYOUT_FIELD(farfault_destination_options, reserved_end), LAYOUT_SIZE(farfault_prepage_budget),                 \
      LAYOUT_FIELD(farfault_prepage_budget, critical), LAYOUT_FIELD(farfault_prepage_budget, critical_only),          \
      LAYOUT_SIZE(farfault_prepage_report), LAYOUT_SIZE(farfault_stats),                                              \
      LAYOUT_FIELD(farfault_stats, metadata_bytes_per_page), LAYOUT_FIELD(farfault_stats, switchover_ns),             \
      LAYOUT_FIELD(farfault_stats, mtu), LAYOUT_FIELD(farfault_stats, push_queue),                                    \
      LAYOUT_FIELD(farfault_stats, rails), LAYOUT_SIZE(farfault_rail_stats), LAYOUT_FIELD(farfault_rail_stats, path), \
      {"enum farfault_status", sizeof(enum farfault_status)},                                                         \
      {"enum farfault_event_kind", sizeof(enum farfault_event_kind)},                                                 \
      {"enum farfault_state", sizeof(enum farfault_state)}, {                                                         \
    "bool", sizeof(bool)                                                                                              \
  }

#ifdef __cplusplus
extern "C" {
#endif

/// As the C compiler sees them; `*count` entries.
const struct layout_entry* LayoutInC(size_t* count);

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_TEST_C_API_LAYOUT_ENTRIES_H_
