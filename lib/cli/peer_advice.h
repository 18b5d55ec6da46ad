#ifndef FARFAULT_LIB_CLI_PEER_ADVICE_H_
#define FARFAULT_LIB_CLI_PEER_ADVICE_H_

#include <string_view>

#include "absl/status/status.h"

namespace farfault {

/// The library advises whose peer has not come to raise an option of its own. A user of a command is told `advice`
/// instead: "wait longer with --wait".
absl::Status AdviseInstead(const absl::Status& status, std::string_view advice);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PEER_ADVICE_H_
