#ifndef FARFAULT_LIB_TRANSPORT_CONNECT_ERROR_H_
#define FARFAULT_LIB_TRANSPORT_CONNECT_ERROR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

// What Transport::Connect says over every fabric.
namespace farfault {

/// kUnavailable, and nothing else is wrong: whoever waits for a peer that is not there yet need not be told why.
absl::Status NobodyListensError(const std::string& text);
bool IsNobodyListens(const absl::Status& status);

/// kPermissionDenied. `peer` is "the peer at tcp://192.0.2.7:7000".
absl::Status RejectedError(std::string_view peer);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_CONNECT_ERROR_H_
