#ifndef FARFAULT_LIB_RUNTIME_SESSION_CORE_H_
#define FARFAULT_LIB_RUNTIME_SESSION_CORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "farfault/options.h"
#include "farfault/session.h"
#include "lib/page/page_layout.h"
#include "lib/runtime/engine_thread.h"
#include "lib/runtime/event_sink.h"
#include "lib/runtime/memory_lease.h"
#include "lib/runtime/rendezvous.h"
#include "lib/util/deadline.h"
#include "lib/util/monotonic_clock.h"
#include "lib/util/status_text.h"

namespace farfault {

/// What both sides hold besides their engine. Members end in reverse order: channels before the transport.
struct SessionCore {
  SessionCore(GuestMemory guest_memory, MemoryLease memory_lease, EventListener listener)
      : memory(std::move(guest_memory)), layout(memory), lease(std::move(memory_lease)), events(std::move(listener)) {}

  const GuestMemory memory;
  const PageLayout layout;
  MemoryLease lease;
  EventSink events;
  const MonotonicClock clock;
  std::unique_ptr<Transport> transport;
  Connection connection;
  std::atomic<SessionState> state = SessionState::kConnected;

  /// Says it to the listener when it is new. A session that has ended stays as it ended.
  void Publish(SessionState next, const absl::Status& failure) {
    SessionState now = state.load(std::memory_order_acquire);
    do {
      if (now == next || now == SessionState::kFailed || now == SessionState::kClosed) return;
    } while (!state.compare_exchange_weak(now, next, std::memory_order_acq_rel));
    if (next == SessionState::kFailed) events.Send(EventKind::kFailed, std::string(StatusText(failure)));
    if (next == SessionState::kSwitchedOver) events.Send(EventKind::kSwitchedOver);
  }

  /// Events speak of bytes. With pages of two sizes the average stands for both until all are there.
  void ReportMoved(std::uint64_t pages) {
    const std::uint64_t bytes = layout.total_bytes();
    const bool all = pages == layout.total_pages();
    events.Progress(EventKind::kMoving, all ? bytes : bytes / layout.total_pages() * pages, bytes);
  }

  /// Called now and then: a link that is down may come up again, and until then the user knows why all stands still.
  void ReportTrouble() {
    if (events.has_listener()) events.HintAtTrouble(transport->Trouble());
  }

  /// Before any buffer ends that a channel may still write to.
  void CloseChannels() {
    connection.push.clear();
    connection.demand.clear();
    connection.link.reset();
    connection.control.reset();
  }

  /// Before there is an engine: tells the peer why, and gives the status back.
  absl::Status Abandon(const absl::Status& status) {
    connection.link->SendFailure(status);
    FlushLink(*connection.link, Deadline::After(absl::Seconds(1))).IgnoreError();
    return status;
  }
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_SESSION_CORE_H_
