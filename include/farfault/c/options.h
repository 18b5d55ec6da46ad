#ifndef FARFAULT_C_OPTIONS_H_
#define FARFAULT_C_OPTIONS_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farfault/c/dirty_log.h"
#include "farfault/c/events.h"
#include "farfault/c/memory.h"
#include "farfault/c/predictor.h"
#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What both sides of a session need. Exactly one of `connect` and `listen` is set; either side may listen.
struct farfault_session_options {
  size_t struct_size;
  /// The peer's address, "tcp://192.0.2.7:7000"; NULL or "" by default. Change this when the peer listens.
  const char* connect;
  /// The address to listen on, "tcp://0.0.0.0:7000"; port 0 lets the kernel choose (see FARFAULT_EVENT_LISTENING). NULL
  /// or "" by default. Change this when the peer connects.
  const char* listen;
  /// Secret that both ends share, any bytes; proves each to the other before any address or key is told. NULL and 0,
  /// the default, means that anyone who reaches the port may read (source) or write (destination) the memory: change
  /// this on every network that is not yours alone. Up to 4096 bytes.
  const void* pre_shared_key;
  size_t pre_shared_key_size;
  /// How long to wait for the peer to appear; 30 s. Change this when the two ends are started by hand.
  int64_t peer_timeout_ns;
  /// How long any single step of the handshake may take once the peer is there; 10 s. Change this for a peer that is
  /// slow or far away.
  int64_t handshake_timeout_ns;
  /// How long the destination may take to populate and register its memory; 300 s. Change this for terabytes.
  int64_t prepare_timeout_ns;
  /// Channels for bulk bytes, 1 to 8; 1. Change this when one connection does not fill the link.
  size_t push_channels;
  /// Channels for demand reads, 1 to 8; 1. Change this when many guest threads fault at once on a fast fabric.
  size_t demand_channels;
  /// Called for progress and hints; nobody by default. Change this to learn the port, and to show progress.
  struct farfault_event_listener listener;
};

FARFAULT_EXPORT void farfault_session_options_init(struct farfault_session_options* options, size_t struct_size);

struct farfault_source_options {
  size_t struct_size;
  /// Bytes of the push that may be on their way at once, 64 KiB to 256 MiB; 4 MiB. Bounds how long a demand read can
  /// queue behind the push where both share a queue. Change this upwards for long fat links (bandwidth × round trip),
  /// downwards for slow links: 4 MiB are 3 ms at 10 Gbit/s.
  uint64_t push_window_bytes;
  /// Bytes that are announced with one run list, one page and up; at most half of `push_window_bytes` is used; 1 MiB.
  /// Change this when profiling says so.
  uint64_t push_batch_bytes;
  /// Orders the push, one of farfault's policies as in `farfault_predictor_create`; NULL, the default, means
  /// "bubbling". Change this to "sequential" for guests that scan.
  const char* predictor;
  /// A policy of one's own instead; NULL by default. Copied, but not its `user_data`. Change this when the guest's next
  /// steps are known better; only one of the two can be set.
  const struct farfault_predictor_callbacks* custom_predictor;
  /// The hypervisor's own record of what the guest writes; none by default. Asked in addition to what `track_dirty`
  /// finds. Change this for KVM's dirty log, then with `track_dirty` off, and for writers that `track_dirty` does not
  /// see.
  struct farfault_dirty_log dirty_log;
  /// How long the push thread polls before it sleeps; 20 µs. Change this to zero to save CPU.
  int64_t spin_ns;
  /// Push at all; true. Change this to false for pure demand paging: then nothing moves that the guest does not touch.
  bool push;
  /// Find out what the guest writes, which `farfault_source_prepage` needs; true. Costs one write fault per page and
  /// round, and needs Linux 6.7. Change this to false when the hypervisor brings its own dirty log. Seen is what this
  /// process writes through the region's mapping, by itself or in system calls. Not seen are writes through another
  /// mapping or by another process (vhost-user), and to pages that were pinned earlier (O_DIRECT, io_uring, VFIO): what
  /// they change after it was sent arrives stale. Log it yourself (`dirty_log`), or stop such writers before
  /// pre-paging.
  bool track_dirty;
  /// Record which pages the guest touches during pre-paging, for ranking and for `on_history`; true. Shared memory
  /// only; of a guest in another process only what it writes. Change this to false when the guest cannot bear the extra
  /// minor faults.
  bool track_history;
  /// 0.
  uint8_t reserved[5];
};

FARFAULT_EXPORT void farfault_source_options_init(struct farfault_source_options* options, size_t struct_size);

struct farfault_destination_options {
  size_t struct_size;
  /// How long the pager polls for faults and completions before it sleeps; 50 µs. A sleeping core costs 10–60 µs to
  /// wake. Change this to zero to save CPU, upwards when the stall median matters most. Unless it is zero, the thread
  /// that receives a push over tcp spins as well between two pieces, for 0.27 s a GiB at most.
  int64_t spin_ns;
  /// Faults that may be on the wire at once, 1 to 1024; more wait in order; 128. Change this for many vCPUs.
  size_t max_outstanding_faults;
  /// Pages mapped at once around a local fault when they have landed as well, 1 to 512; 16. Change this to 1 when every
  /// single fault is to be counted.
  size_t map_around_pages;
  /// Threads that populate and register memory, 1 to 64; 0, the default, means one per core. Change this to leave cores
  /// to others.
  size_t prepare_threads;
  /// Bytes of the staging ring for anonymous memory, per push channel, 64 KiB and up; 8 MiB. Change this upwards for
  /// long fat links.
  uint64_t staging_bytes;
  /// Give finished 2 MiB chunks to MADV_COLLAPSE; true. Change this to false to keep small mappings.
  bool collapse_huge_pages;
  /// 0.
  uint8_t reserved[7];
  /// A file of one byte per page in which the session keeps what has become of each, so that another session can take
  /// the guest over when this process dies (see `farfault_external_guest.taken_over`). Made anew otherwise; best on a
  /// tmpfs, since it means nothing after a restart of the machine. NULL or "", the default: none. Change this for
  /// guests of other processes.
  const char* state_file;
  /// Keep the order in which the guest touches pages, for `farfault_destination_fault_order`; eight bytes per page;
  /// false. Change this to learn a working set for later runs.
  bool record_faults;
  /// Allocate memory for all pages in `farfault_destination_create`, before the peer is waited for, so that a move does
  /// not wait for it; false. That call takes so much longer, cannot be cancelled meanwhile, and nobody listens until
  /// then. Where the source has holes it is freed in `farfault_destination_prepare`, except where registering pins
  /// memory or huge pages of hugetlbfs are reserved; when a session fails it stays allocated. Private memory, and a
  /// guest of another process that may run already or is not `registered`, go without: a hint says so. Change this
  /// where the destination is set up ahead of the move.
  bool populate_early;
  /// 0.
  uint8_t reserved_end[6];
};

FARFAULT_EXPORT void farfault_destination_options_init(struct farfault_destination_options* options,
                                                       size_t struct_size);

/// How much to send before the switchover; whichever limit is met first ends it.
struct farfault_prepage_budget {
  size_t struct_size;
  /// Bytes sent, repeats included; 0, the default, means no limit. One of `bytes` and `time_ns` must be set.
  uint64_t bytes;
  /// Time spent; 0, the default, means no limit.
  int64_t time_ns;
  /// Ranges of guest memory that go first, in this order, hot or not; none by default. Change this when it is known
  /// what the guest needs first.
  const struct farfault_page_run* critical;
  size_t critical_count;
  /// How long to watch the guest before the first page is ranked, when history is tracked; 100 ms. Change this to zero
  /// when only `critical` matters.
  int64_t observe_ns;
  /// Send only `critical`, nothing by history; false.
  bool critical_only;
  /// 0.
  uint8_t reserved[7];
};

FARFAULT_EXPORT void farfault_prepage_budget_init(struct farfault_prepage_budget* budget, size_t struct_size);

/// What a `farfault_source_prepage` came to.
struct farfault_prepage_report {
  size_t struct_size;
  uint64_t pages_sent;
  uint64_t bytes_sent;
  /// Pages at the destination that are not stale at this moment.
  uint64_t pages_fresh;
  uint64_t rounds;
  int64_t elapsed_ns;
};

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_OPTIONS_H_
