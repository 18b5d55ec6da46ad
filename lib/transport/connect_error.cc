#include "lib/transport/connect_error.h"

#include <fmt/format.h>

#include "absl/strings/cord.h"

namespace farfault {
namespace {

constexpr char kNobodyListens[] = "farfault/nobody-listens";

}  // namespace

absl::Status NobodyListensError(const std::string& text) {
  absl::Status status(absl::StatusCode::kUnavailable, text);
  status.SetPayload(kNobodyListens, absl::Cord());
  return status;
}

bool IsNobodyListens(const absl::Status& status) { return status.GetPayload(kNobodyListens).has_value(); }

absl::Status RejectedError(std::string_view peer) {
  return absl::PermissionDeniedError(
      fmt::format("{} rejected the connection: it waits for another peer, or has one already; check the port, and that "
                  "both ends are of the same session",
                  peer));
}

}  // namespace farfault
