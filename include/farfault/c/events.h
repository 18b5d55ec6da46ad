#ifndef FARFAULT_C_EVENTS_H_
#define FARFAULT_C_EVENTS_H_

#include <stddef.h>
#include <stdint.h>

#include "farfault/export.h"

#ifdef __cplusplus
extern "C" {
#endif

enum farfault_event_kind {
  FARFAULT_EVENT_LISTENING = 0,         ///< `text` is the address to give to the peer, with the port that was chosen.
  FARFAULT_EVENT_WAITING_FOR_PEER = 1,  ///< Not there yet; connecting is retried until the deadline.
  FARFAULT_EVENT_CONNECTED = 2,         ///< The peer is authenticated and speaks our version.
  FARFAULT_EVENT_PREPARING = 3,         ///< `done` of `total` bytes populated and registered.
  FARFAULT_EVENT_PRE_PAGING = 4,        ///< `done` of `total` bytes of the budget sent (`total` 0: it is a time).
  FARFAULT_EVENT_SWITCHED_OVER = 5,     ///< The guest may run at the destination.
  FARFAULT_EVENT_MOVING = 6,            ///< `done` of `total` bytes resident at the destination.
  FARFAULT_EVENT_RESIDENT = 7,          ///< Nothing is missing at the destination any more.
  FARFAULT_EVENT_DRAINED = 8,           ///< The source's memory is not needed any more.
  /// Something works, but slower or heavier than it could, or a peer came or was reached that is not what it should be;
  /// `text` mends it.
  FARFAULT_EVENT_HINT = 9,
  FARFAULT_EVENT_FAILED = 10  ///< The session has failed; `text` is the reason.
};

/// "listening" and so on; "unknown" for a value that is none of them. A constant.
FARFAULT_EXPORT const char* farfault_event_kind_name(enum farfault_event_kind kind);

/// Valid, with its text, only during the callback. Later versions may send kinds that are not named above.
struct farfault_event {
  size_t struct_size;
  enum farfault_event_kind kind;
  /// 0.
  uint32_t reserved;
  uint64_t done;
  uint64_t total;
  /// Never NULL.
  const char* text;
};

/// Called from a thread of the session or from the thread that called into it, never from two at once. It must return
/// soon, must not call back into the session, and at the destination must not touch guest memory: the page may be one
/// that only this thread can bring. Progress events come at most about ten times a second.
struct farfault_event_listener {
  void (*on_event)(void* user_data, const struct farfault_event* event);
  void* user_data;
};

#ifdef __cplusplus
}
#endif

#endif  // FARFAULT_C_EVENTS_H_
