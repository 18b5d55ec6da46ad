#include "lib/cli/peer_advice.h"

#include <string>

#include "absl/strings/str_replace.h"
#include "lib/util/status_text.h"

namespace farfault {

absl::Status AdviseInstead(const absl::Status& status, std::string_view advice) {
  if (status.ok()) return status;
  const std::string text(StatusText(status));
  return absl::Status(status.code(), absl::StrReplaceAll(text, {{"raise peer_timeout", std::string(advice)}}));
}

}  // namespace farfault
