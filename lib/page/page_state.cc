#include "lib/page/page_state.h"

namespace farfault {

std::string_view PageStateName(PageState state) {
  switch (state) {
    case PageState::kAbsent:
      return "absent";
    case PageState::kWanted:
      return "wanted";
    case PageState::kWantedArrived:
      return "wanted-arrived";
    case PageState::kArriving:
      return "arriving";
    case PageState::kLanded:
      return "landed";
    case PageState::kMapped:
      return "mapped";
    case PageState::kHole:
      return "hole";
  }
  return "unknown";
}

}  // namespace farfault
