#ifndef FARFAULT_SESSION_H_
#define FARFAULT_SESSION_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/export.h"
#include "farfault/guest_memory.h"
#include "farfault/options.h"
#include "farfault/page.h"
#include "farfault/stats.h"

namespace farfault {

enum class SessionState : std::uint8_t {
  kConnected,     ///< Handshake done; the guest runs at the source.
  kPrepared,      ///< The destination's memory is populated, registered and armed.
  kSwitchedOver,  ///< The guest may run at the destination; pages are still missing there.
  kResident,      ///< Every page is at the destination.
  kFailed,        ///< See `PagingSession::status()`. Faults stay parked; nothing is answered with made-up bytes.
  kClosed,        ///< `Cancel` was called. Like kFailed, it is final.
};

FARFAULT_EXPORT std::string_view SessionStateName(SessionState state);

/// What the two sides of a session share.
///
/// Thread contract: all methods may be called from any thread; those that wait block only their caller. Destroying a
/// session while another thread is inside one of its methods is an error of the caller.
/// Lifetime: the guest memory outlives the session. Destruction joins the session's threads. A destination that is
/// destroyed after the switchover and before it is resident takes the rest of the guest's memory with it: threads of
/// the guest that touch a missing page stay parked until the process ends; those of an external guest as long as
/// somebody holds its userfaultfd. Before the switchover no guest has run in the memory, and it becomes ordinary memory
/// again: whoever has touched it all the same goes on, and reads zeros or what the session had put into its file.
class FARFAULT_EXPORT PagingSession {
 public:
  virtual ~PagingSession() = default;

  virtual SessionState state() const = 0;
  /// OK unless `state()` is kFailed; then the reason, and what can be done.
  virtual absl::Status status() const = 0;
  /// A consistent snapshot; costs a few microseconds of the session's thread.
  virtual SessionStats Stats() const = 0;
  /// Ends the session. Before the switchover the source's guest is untouched. After it, a destination that is not
  /// resident keeps its missing pages parked. A session that has failed stays kFailed, and one that has every page
  /// comes to kResident all the same. Idempotent.
  virtual void Cancel() = 0;
};

/// The side that gives the memory up. Of a guest in another process (`GuestMemory::CreateExternal`) it reads the file,
/// and needs that process for nothing once `SwitchOver` has returned.
class FARFAULT_EXPORT SourceSession : public PagingSession {
 public:
  /// Meets the peer, checks that both mean the same regions, and waits until the destination is prepared. The guest
  /// runs on meanwhile and is not touched, whatever the outcome. Errors: kInvalidArgument (options, memory),
  /// kUnavailable (nobody listens there, connection lost), kDeadlineExceeded (nobody came, peer silent),
  /// kUnauthenticated (keys differ), kPermissionDenied (the listener rejected the connection), kFailedPrecondition
  /// (version, regions or page sizes differ; memory is in use by another session), kAlreadyExists (address in use),
  /// kDataLoss (the peer makes no sense). A listening side that waited in vain reports how the last peer that tried has
  /// failed. kResourceExhausted: the memory cannot be registered, for a limit that the message names.
  ///
  /// Over transports that pin memory (verbs without `odp=1`) nobody may discard it from here until it is drained
  /// (MADV_DONTNEED, MADV_REMOVE, FALLOC_FL_PUNCH_HOLE), so keep balloons and free page reporting off: the device would
  /// go on reading the old page, and what is written to the new one would not arrive.
  static absl::StatusOr<std::unique_ptr<SourceSession>> Create(GuestMemory memory, SourceOptions options);

  /// Sends pages while the guest runs. May be called repeatedly before `SwitchOver`. Blocks until the budget is
  /// spent or nothing is left to send. Tracking starts with the first call, hence kPermissionDenied (userfaultfd) and
  /// kUnimplemented (Linux before 6.7); both leave the session as it is; so does kResourceExhausted: what the guest has
  /// populated by now cannot be registered. kDeadlineExceeded: the destination hangs (what
  /// is on its way has `handshake_timeout` once the budget's time is over); the session has failed.
  virtual absl::StatusOr<PrePageReport> PrePage(const PrePageBudget& budget) = 0;

  /// For hypervisors with a dirty log (KVM) that want to read it themselves (otherwise see `SourceOptions::dirty_log`):
  /// pages written since the last call; `AppendDirtyPages` makes them of a bitmap. Only with
  /// `SourceOptions::track_dirty` off; call it after the guest stopped and before `SwitchOver`, and between `PrePage`
  /// calls as often as wished.
  virtual absl::Status ReportDirty(std::span<const PageRun> dirty) = 0;

  /// Hands the guest over. The guest has stopped and its memory does not change from this call on. Returns when
  /// the destination has said that its guest may run. On an error the destination never started and the guest may go on
  /// here, except for kDataLoss: the outcome is unknown, and only the destination can tell. When the destination
  /// refuses or what it says makes no sense, that is kAborted. kResourceExhausted: the guest has populated more memory
  /// than can be registered; the session is as it was, and `SwitchOver` may be called again.
  ///
  /// The push begins somewhat later, and until then there is demand paging: a thread of the session takes dirty
  /// tracking off and looks through all memory for holes first (about 0.1 s per GiB). In another process's memory
  /// tracking stays on until `WaitUntilDrained` returns OK or the session ends.
  virtual absl::Status SwitchOver() = 0;

  /// Waits until the destination has every page; afterwards the memory may be freed. kDeadlineExceeded leaves the
  /// session as it is. kAborted: the destination has failed.
  virtual absl::Status WaitUntilDrained(absl::Duration timeout) = 0;
};

/// The side that takes the memory over.
class FARFAULT_EXPORT DestinationSession : public PagingSession {
 public:
  /// Meets the peer and checks that both mean the same regions. Errors as for `SourceSession::Create`, and with
  /// `populate_early` those of populating (see `Prepare`).
  static absl::StatusOr<std::unique_ptr<DestinationSession>> Create(GuestMemory memory, DestinationOptions options);

  /// Maps the memory a second time, populates and registers it, and arms the guest's mapping: from here on a touched
  /// page parks its thread until the source has switched over. kResourceExhausted names what is lacking;
  /// kPermissionDenied when userfaultfd is not allowed; kCancelled when `Cancel` was called meanwhile. After an error
  /// nothing is armed, and the session cannot be prepared again.
  ///
  /// From here until kResident nobody may discard the memory, so keep balloons and free page reporting off: the session
  /// does not learn of it, but of an external guest whose userfaultfd reports remove events
  /// (`ExternalGuest::features`). Private anonymous memory (MADV_DONTNEED, MADV_FREE): a page that is not mapped yet
  /// reads as the source's bytes and not as zeros. Files: MADV_DONTNEED changes nothing; after MADV_REMOVE or
  /// FALLOC_FL_PUNCH_HOLE a page reads as the source's bytes when it had not arrived, fails the session when it had and
  /// was not mapped yet, and reads as zeros when it was mapped.
  virtual absl::Status Prepare() = 0;

  /// Waits (up to `timeout`) until the source switches over, and returns when the guest may run. The permission to
  /// switch over stays given after kDeadlineExceeded: the guest may be handed over at any time until `Cancel`.
  virtual absl::Status Activate(absl::Duration timeout) = 0;

  /// Reads what is missing ahead of demand, a few pages at a time, so that a session without a push becomes resident.
  virtual absl::Status FetchRest() = 0;

  /// Reads these pages ahead of demand, in this order, a few at a time: a working set that is known from an earlier
  /// run. Pages that are here already are passed over. A second call adds to the first. kInvalidArgument: runs outside
  /// the memory.
  virtual absl::Status Fetch(std::vector<PageRun> order) = 0;

  /// With `DestinationOptions::record_faults`: the pages that the guest has touched first, in the order in which it
  /// waited for them; each page once. A snapshot.
  virtual std::vector<PageIndex> FaultOrder() const = 0;

  /// Waits until every page is here and mapped; afterwards the memory is ordinary memory again. kDeadlineExceeded
  /// leaves the session as it is. Without a push or `FetchRest` this waits for the guest to touch everything.
  virtual absl::Status WaitUntilResident(absl::Duration timeout) = 0;
};

/// What a source offers, for a destination that has yet to allocate its memory.
struct RemoteRegion {
  std::string name;
  std::uint64_t length = 0;
  std::uint64_t page_size = 0;
};

/// Asks the source that listens on `options.connect` for its regions, then leaves without a trace: the source goes on
/// waiting for its destination. Errors as for `DestinationSession::Create`.
FARFAULT_EXPORT absl::StatusOr<std::vector<RemoteRegion>> DescribeSource(const SessionOptions& options);

}  // namespace farfault

#endif  // FARFAULT_SESSION_H_
