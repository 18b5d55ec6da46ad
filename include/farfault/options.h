#ifndef FARFAULT_OPTIONS_H_
#define FARFAULT_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "farfault/dirty_log.h"
#include "farfault/events.h"
#include "farfault/guest_memory.h"
#include "farfault/page.h"
#include "farfault/predictor.h"

namespace farfault {

/// What both sides of a session need. Exactly one of `connect` and `listen` is set; either side may listen.
struct SessionOptions {
  /// The peer's address, "tcp://192.0.2.7:7000". Change this when the peer listens.
  /// "verbs://10.9.0.1:7000?rail=10.9.1.1" shares the session out over two devices or ports of each end, and further
  /// `&rail=` over up to 8; both ends name as many, in the same order.
  std::string connect;
  /// The address to listen on, "tcp://0.0.0.0:7000"; port 0 lets the kernel choose (see `EventKind::kListening`).
  std::string listen;
  /// Secret that both ends share; proves each to the other before any address or key is told. Empty means that
  /// anyone who reaches the port may read (source) or write (destination) the memory: change this on every network that
  /// is not yours alone. Up to 4096 bytes.
  std::string pre_shared_key;
  /// How long to wait for the peer to appear. Change this when the two ends are started by hand.
  absl::Duration peer_timeout = absl::Seconds(30);
  /// How long any single step of the handshake may take once the peer is there.
  absl::Duration handshake_timeout = absl::Seconds(10);
  /// How long the peer may take to populate and register its memory. Change this for terabytes.
  absl::Duration prepare_timeout = absl::Seconds(300);
  /// Channels for bulk bytes, 1 to 8; there is at least one on each rail. Change this when one connection does not fill
  /// the link.
  std::size_t push_channels = 1;
  /// Channels for demand reads, 1 to 8; there is at least one on each rail. Change this when many guest threads fault
  /// at once on a fast fabric.
  std::size_t demand_channels = 1;
  /// Called for progress and hints; may be empty.
  EventListener on_event;
};

struct PushOptions {
  /// Push at all. Change this to false for pure demand paging: then nothing moves that the guest does not touch.
  bool enabled = true;
  /// Bytes that may be on their way at once, 64 KiB to 256 MiB. Bounds how long a demand read can queue behind the
  /// push where both share a queue. Change this upwards for long fat links (bandwidth × round trip), downwards for slow
  /// links: 4 MiB are 3 ms at 10 Gbit/s.
  std::uint64_t window_bytes = 4u << 20;
  /// Bytes that are announced with one run list, one page and up; at most half of `window_bytes` is used. Change this
  /// when profiling says so.
  std::uint64_t batch_bytes = 1u << 20;
};

struct SourceOptions : SessionOptions {
  PushOptions push;
  /// Orders the push; null means "bubbling". See `MakePredictor`.
  std::unique_ptr<Predictor> predictor;
  /// Find out what the guest writes, which `SourceSession::PrePage` needs; costs one write fault per page and round.
  /// Needs Linux 6.7. Change this to false when the hypervisor brings its own dirty bitmap (`dirty_log`,
  /// `ReportDirty`). Seen is what this process writes through the region's mapping, by itself or in system calls. Not
  /// seen are writes through another mapping or by another process (vhost-user), and to pages that were pinned earlier
  /// (O_DIRECT, io_uring, VFIO): what they change after it was sent arrives stale. Log it yourself (`dirty_log`), or
  /// stop such writers before `PrePage`.
  bool track_dirty = true;
  /// The hypervisor's own record of what the guest writes; empty means none. Asked in addition to what `track_dirty`
  /// finds. Change this for KVM's dirty log, then with `track_dirty` off, and for writers that `track_dirty` does not
  /// see.
  DirtyLog dirty_log;
  /// Record which pages the guest touches while `PrePage` runs, for ranking and for `Predictor::OnHistory`.
  /// Shared memory only; of a guest in another process (`ExternalGuest`) only what it writes.
  bool track_history = true;
  /// How long the push thread polls before it sleeps. Change this to zero to save CPU.
  absl::Duration spin = absl::Microseconds(20);
};

struct DestinationOptions : SessionOptions {
  /// How long the pager polls for faults and completions before it sleeps. A sleeping core costs 10–60 µs to
  /// wake. Change this to zero to save CPU, upwards when the stall median matters most. Unless it is zero, the thread
  /// that receives a push over tcp spins as well between two pieces, for 0.27 s a GiB at most.
  absl::Duration spin = absl::Microseconds(50);
  /// Faults that may be on the wire at once, 1 to 1024; more wait in order. Change this for many vCPUs.
  std::size_t max_outstanding_faults = 128;
  /// Pages mapped at once around a local fault when they have landed as well, 1 to 512.
  std::size_t map_around_pages = 16;
  /// Give finished 2 MiB chunks to `MADV_COLLAPSE`. Change this to false to keep small mappings.
  bool collapse_huge_pages = true;
  /// Threads that populate and register memory, 1 to 64; 0 means one per core.
  std::size_t prepare_threads = 0;
  /// Allocate memory for all pages in `DestinationSession::Create`, before the peer is waited for, so that a move does
  /// not wait for it. `Create` takes that much longer, cannot be cancelled meanwhile, and nobody listens until then.
  /// Where the source has holes it is freed in `Prepare`, except where registering pins memory or huge pages of
  /// hugetlbfs are reserved; when a session fails it stays allocated. Private memory, and a guest of another process
  /// that may run already or is not `ExternalGuest::registered`, go without: a hint says so. Change this where the
  /// destination is set up ahead of the move.
  bool populate_early = false;
  /// Keep the order in which the guest touches pages, for `DestinationSession::FaultOrder`; eight bytes per page.
  /// Change this to learn a working set for later runs.
  bool record_faults = false;
  /// A file of one byte per page in which the session keeps what has become of each, so that another session can take
  /// the guest over when this process dies (see `ExternalGuest::taken_over`). Made anew otherwise; best on a tmpfs,
  /// since it means nothing after a restart of the machine. Empty: none. Change this for guests of other processes.
  std::string state_file;
  /// Bytes of the staging ring for anonymous memory, per push channel, 64 KiB and up.
  std::uint64_t staging_bytes = 8u << 20;
};

/// How much to send before the switchover; whichever limit is met first ends it.
struct PrePageBudget {
  /// Bytes sent, repeats included; 0 means no limit.
  std::uint64_t bytes = 0;
  /// Time spent; zero means no limit. One of the two must be set.
  absl::Duration time = absl::ZeroDuration();
  /// Ranges of guest memory that go first, in this order, hot or not.
  std::vector<PageRun> critical;
  /// Send only `critical`, nothing by history.
  bool critical_only = false;
  /// How long to watch the guest before the first page is ranked, when history is tracked.
  absl::Duration observe = absl::Milliseconds(100);
};

struct PrePageReport {
  std::uint64_t pages_sent = 0;
  std::uint64_t bytes_sent = 0;
  /// Pages at the destination that are not stale at this moment.
  std::uint64_t pages_fresh = 0;
  std::uint64_t rounds = 0;
  absl::Duration elapsed;
};

}  // namespace farfault

#endif  // FARFAULT_OPTIONS_H_
