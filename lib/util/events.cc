#include "farfault/events.h"

#include "farfault/session.h"

namespace farfault {

std::string_view EventKindName(EventKind kind) {
  switch (kind) {
    case EventKind::kListening:
      return "listening";
    case EventKind::kWaitingForPeer:
      return "waiting for peer";
    case EventKind::kConnected:
      return "connected";
    case EventKind::kPreparing:
      return "preparing";
    case EventKind::kPrePaging:
      return "pre-paging";
    case EventKind::kSwitchedOver:
      return "switched over";
    case EventKind::kMoving:
      return "moving";
    case EventKind::kResident:
      return "resident";
    case EventKind::kDrained:
      return "drained";
    case EventKind::kHint:
      return "hint";
    case EventKind::kFailed:
      return "failed";
  }
  return "unknown";
}

std::string_view SessionStateName(SessionState state) {
  switch (state) {
    case SessionState::kConnected:
      return "connected";
    case SessionState::kPrepared:
      return "prepared";
    case SessionState::kSwitchedOver:
      return "switched over";
    case SessionState::kResident:
      return "resident";
    case SessionState::kFailed:
      return "failed";
    case SessionState::kClosed:
      return "closed";
  }
  return "unknown";
}

}  // namespace farfault
