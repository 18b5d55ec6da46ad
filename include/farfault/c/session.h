#ifndef FARFAULT_C_SESSION_H_
#define FARFAULT_C_SESSION_H_

#include <stddef.h>
#include <stdint.h>

#include "farfault/c/memory.h"
#include "farfault/c/options.h"
#include "farfault/c/stats.h"
#include "farfault/c/status.h"
#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

enum farfault_state {
  FARFAULT_STATE_CONNECTED = 0,      ///< Handshake done; the guest runs at the source.
  FARFAULT_STATE_PREPARED = 1,       ///< The destination's memory is populated, registered and armed.
  FARFAULT_STATE_SWITCHED_OVER = 2,  ///< The guest may run at the destination; pages are still missing there.
  FARFAULT_STATE_RESIDENT = 3,       ///< Every page is at the destination.
  FARFAULT_STATE_FAILED = 4,         ///< See `farfault_session_status`. Faults stay parked; nothing is made up.
  FARFAULT_STATE_CLOSED = 5          ///< It was cancelled. Like FARFAULT_STATE_FAILED, it is final.
};

/// "connected" and so on; "unknown" for a value that is none of them. A constant.
FARFAULT_EXPORT const char* farfault_state_name(enum farfault_state state);

/// What the two sides of a session share. The guest memory outlives the session. Its threads end when the side is
/// destroyed. A destination that is destroyed after the switchover and before it is resident takes the rest of the
/// guest's memory with it: threads of the guest that touch a missing page stay parked until the process ends; those of
/// an external guest as long as somebody holds its userfaultfd. Before the switchover no guest has run in the memory,
/// and it becomes ordinary memory again: whoever has touched it all the same goes on, and reads zeros or what the
/// session had put into its file.
struct farfault_session;
/// The side that gives the memory up. Of a guest in another process (`farfault_memory_create_external`) it reads the
/// file, and needs that process for nothing once `farfault_source_switch_over` has returned.
struct farfault_source;
/// The side that takes the memory over.
struct farfault_destination;

/// The part that both sides share, valid as long as the side.
FARFAULT_EXPORT struct farfault_session* farfault_source_session(struct farfault_source* source);
FARFAULT_EXPORT struct farfault_session* farfault_destination_session(struct farfault_destination* destination);

FARFAULT_EXPORT enum farfault_state farfault_session_state(const struct farfault_session* session);

/// FARFAULT_OK unless the state is FARFAULT_STATE_FAILED; then the reason, and in `farfault_error_text` what can be
/// done.
FARFAULT_EXPORT enum farfault_status farfault_session_status(const struct farfault_session* session);

/// A consistent snapshot; costs a few microseconds of the session's thread. `stats` and both histograms may be NULL.
/// The histograms (network faults and local faults apart, from the moment the pager saw the fault until the thread was
/// woken) are overwritten.
FARFAULT_EXPORT enum farfault_status farfault_session_stats(const struct farfault_session* session,
                                                            struct farfault_stats* stats,
                                                            struct farfault_histogram* stall_network,
                                                            struct farfault_histogram* stall_local);

/// What went over rail `index`, in the order of the address; a snapshot as well. FARFAULT_OUT_OF_RANGE.
FARFAULT_EXPORT enum farfault_status farfault_session_rail(const struct farfault_session* session, size_t index,
                                                           struct farfault_rail_stats* rail);

/// Ends the session. Before the switchover the source's guest is untouched. After it, a destination that is not
/// resident keeps its missing pages parked. A session that has failed stays so, and one that has every page becomes
/// FARFAULT_STATE_RESIDENT all the same. May be repeated. Fails only for want of memory.
FARFAULT_EXPORT enum farfault_status farfault_session_cancel(struct farfault_session* session);

/// Meets the peer, checks that both mean the same regions, and waits until the destination is prepared. The guest runs
/// on meanwhile and is not touched, whatever the outcome. `source` may be NULL: the defaults. FARFAULT_INVALID_ARGUMENT
/// (options, memory), FARFAULT_UNAVAILABLE (nobody listens there, connection lost), FARFAULT_DEADLINE_EXCEEDED (nobody
/// came, peer silent), FARFAULT_UNAUTHENTICATED (keys differ), FARFAULT_PERMISSION_DENIED (the listener rejected the
/// connection), FARFAULT_FAILED_PRECONDITION (version, regions or page sizes differ; memory is in use by another
/// session), FARFAULT_ALREADY_EXISTS (address in use), FARFAULT_DATA_LOSS (the peer makes no sense). A listening side
/// that waited in vain reports how the last peer that tried has failed. FARFAULT_RESOURCE_EXHAUSTED: the memory cannot
/// be registered, for a limit that the message names.
///
/// Over transports that pin memory (verbs without `odp=1`) nobody may discard the memory from here until it is drained,
/// so keep balloons and free page reporting off; what happens otherwise is said at `SourceSession::Create` in
/// farfault/session.h.
FARFAULT_EXPORT enum farfault_status farfault_source_create(const struct farfault_memory* memory,
                                                            const struct farfault_session_options* session,
                                                            const struct farfault_source_options* source,
                                                            struct farfault_source** created);
FARFAULT_EXPORT void farfault_source_destroy(struct farfault_source* source);

/// Sends pages while the guest runs. May be called repeatedly before the switchover. Blocks until the budget is spent
/// or nothing is left to send. `report` may be NULL. Tracking starts with the first call, hence
/// FARFAULT_PERMISSION_DENIED (userfaultfd) and FARFAULT_UNIMPLEMENTED (Linux before 6.7); both leave the session as it
/// is; so does FARFAULT_RESOURCE_EXHAUSTED: what the guest has populated by now cannot be registered.
/// FARFAULT_DEADLINE_EXCEEDED: the destination hangs (what is on its way has `handshake_timeout_ns` once the
/// budget's time is over); the session has failed.
FARFAULT_EXPORT enum farfault_status farfault_source_prepage(struct farfault_source* source,
                                                             const struct farfault_prepage_budget* budget,
                                                             struct farfault_prepage_report* report);

/// For hypervisors that read their dirty log themselves (otherwise see `farfault_source_options.dirty_log`): pages
/// written since the last call. Only with `track_dirty` off; call it after the guest stopped and before
/// `farfault_source_switch_over`, and between calls of `farfault_source_prepage` as often as wished.
/// FARFAULT_INVALID_ARGUMENT: not in the memory.
FARFAULT_EXPORT enum farfault_status farfault_source_report_dirty(struct farfault_source* source,
                                                                  const struct farfault_page_run* runs, size_t count);
FARFAULT_EXPORT enum farfault_status farfault_source_report_dirty_bitmap(struct farfault_source* source,
                                                                         const struct farfault_dirty_bitmap* bitmap);

/// Hands the guest over. The guest has stopped and its memory does not change from this call on. Returns when the
/// destination has said that its guest may run. On an error the destination never started and the guest may go on here,
/// except for FARFAULT_DATA_LOSS: the outcome is unknown, and only the destination can tell. When the destination
/// refuses or what it says makes no sense, that is FARFAULT_ABORTED. FARFAULT_RESOURCE_EXHAUSTED: the guest has
/// populated more memory than can be registered; the session is as it was, and this may be called again.
FARFAULT_EXPORT enum farfault_status farfault_source_switch_over(struct farfault_source* source);

/// Waits until the destination has every page; afterwards the memory may be freed. FARFAULT_DEADLINE_EXCEEDED leaves
/// the session as it is. FARFAULT_ABORTED: the destination has failed.
FARFAULT_EXPORT enum farfault_status farfault_source_wait_until_drained(struct farfault_source* source,
                                                                        int64_t timeout_ns);

/// Meets the peer and checks that both mean the same regions. `destination` may be NULL: the defaults. Errors as for
/// `farfault_source_create`, and with `populate_early` those of populating (see `farfault_destination_prepare`).
FARFAULT_EXPORT enum farfault_status farfault_destination_create(const struct farfault_memory* memory,
                                                                 const struct farfault_session_options* session,
                                                                 const struct farfault_destination_options* destination,
                                                                 struct farfault_destination** created);
FARFAULT_EXPORT void farfault_destination_destroy(struct farfault_destination* destination);

/// Maps the memory a second time, populates and registers it, and arms the guest's mapping: from here on a touched page
/// parks its thread until the source has switched over. FARFAULT_RESOURCE_EXHAUSTED names what is lacking;
/// FARFAULT_PERMISSION_DENIED when userfaultfd is not allowed; FARFAULT_CANCELLED when the session was cancelled
/// meanwhile. After an error nothing is armed, and the session cannot be prepared again.
///
/// From here until FARFAULT_STATE_RESIDENT nobody may discard the memory, so keep balloons and free page reporting off;
/// what happens otherwise, and which external guests may, is said at `DestinationSession::Prepare` in
/// farfault/session.h.
FARFAULT_EXPORT enum farfault_status farfault_destination_prepare(struct farfault_destination* destination);

/// Waits until the source switches over, and returns when the guest may run. The permission to switch over stays given
/// after FARFAULT_DEADLINE_EXCEEDED: the guest may be handed over at any time until the session is cancelled.
FARFAULT_EXPORT enum farfault_status farfault_destination_activate(struct farfault_destination* destination,
                                                                   int64_t timeout_ns);

/// Reads what is missing ahead of demand, a few pages at a time, so that a session without a push becomes resident.
FARFAULT_EXPORT enum farfault_status farfault_destination_fetch_rest(struct farfault_destination* destination);

/// Reads these pages ahead of demand, in this order, a few at a time: a working set that is known from an earlier run.
/// Pages that are here already are passed over. A second call adds to the first. FARFAULT_INVALID_ARGUMENT: runs
/// outside the memory.
FARFAULT_EXPORT enum farfault_status farfault_destination_fetch(struct farfault_destination* destination,
                                                                const struct farfault_page_run* order, size_t count);

/// With `farfault_destination_options.record_faults`: the pages that the guest has touched first, in the order in which
/// it waited for them; each page once. Writes the first `capacity` of them to `pages`, which may be NULL when that is
/// 0, and to `*count` how many there are by now: those that are written stay what they are, and more may follow.
FARFAULT_EXPORT enum farfault_status farfault_destination_fault_order(const struct farfault_destination* destination,
                                                                      uint64_t* pages, size_t capacity, size_t* count);

/// Waits until every page is here and mapped; afterwards the memory is ordinary memory again.
/// FARFAULT_DEADLINE_EXCEEDED leaves the session as it is. Without a push or `farfault_destination_fetch_rest` this
/// waits for the guest to touch everything.
FARFAULT_EXPORT enum farfault_status farfault_destination_wait_until_resident(struct farfault_destination* destination,
                                                                              int64_t timeout_ns);

/// What a source offers, for a destination that has yet to allocate its memory.
struct farfault_description;

/// Asks the source that listens on `session->connect` for its regions, then leaves without a trace: the source goes on
/// waiting for its destination. Errors as for `farfault_destination_create`.
FARFAULT_EXPORT enum farfault_status farfault_describe_source(const struct farfault_session_options* session,
                                                              struct farfault_description** description);
FARFAULT_EXPORT void farfault_description_destroy(struct farfault_description* description);
FARFAULT_EXPORT size_t farfault_description_region_count(const struct farfault_description* description);

/// Fills in `name` (valid as long as `description`), `length` and `page_size`; the rest is as by
/// `farfault_region_init`. FARFAULT_OUT_OF_RANGE.
FARFAULT_EXPORT enum farfault_status farfault_description_region(const struct farfault_description* description,
                                                                 size_t index, struct farfault_region* region);

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_SESSION_H_
