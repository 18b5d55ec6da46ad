#ifndef FARFAULT_EVENTS_H_
#define FARFAULT_EVENTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "farfault/export.h"

namespace farfault {

enum class EventKind : std::uint8_t {
  kListening,       ///< `text` is the address to give to the peer, with the port that was chosen.
  kWaitingForPeer,  ///< Not there yet; connecting is retried until the deadline.
  kConnected,       ///< The peer is authenticated and speaks our version. `text`: the device and what both agreed on.
  kPreparing,       ///< `done` of `total` bytes populated and registered.
  kPrePaging,       ///< `done` of `total` bytes of the budget sent (`total` 0: the budget is a time).
  kSwitchedOver,    ///< The guest may run at the destination.
  kMoving,          ///< `done` of `total` bytes resident at the destination.
  kResident,        ///< Nothing is missing at the destination any more.
  kDrained,         ///< The destination has every page. WaitUntilDrained says when the memory may be freed.
  kHint,            ///< Something works, but slower or heavier than it could, or a peer came or was reached that is
                    ///< not what it should be; `text` says how to mend it.
  kFailed,          ///< The session has failed; `text` is the reason.
};

FARFAULT_EXPORT std::string_view EventKindName(EventKind kind);

struct Event {
  EventKind kind = EventKind::kHint;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::string text;
};

/// Called from a thread of the session or from the thread that called into it, never from two at once. It must
/// return soon, must not call back into the session, and at the destination must not touch guest memory: the page may
/// be one that only this thread can bring. Progress events come at most about ten times a second.
using EventListener = std::function<void(const Event&)>;

}  // namespace farfault

#endif  // FARFAULT_EVENTS_H_
