#ifndef FARFAULT_LIB_TRANSPORT_RAILS_RAIL_ADDRESS_H_
#define FARFAULT_LIB_TRANSPORT_RAILS_RAIL_ADDRESS_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace farfault {

/// `SCHEME://HOST:PORT?rail=HOST2[:PORT2][&rail=…]`: rail 1 leads to HOST:PORT and each `rail=` to another address, by
/// default at the same port. Properties before the first `rail=` hold for all rails and those behind one for that rail
/// alone, but for `device`, `port` and `gid`, which say what one rail goes through.
bool HasRails(std::string_view address);

/// One address without rails for each rail, the first one's first; the only one of an address that names no rails.
/// kInvalidArgument when it makes no sense: more than kMaxRails, or two rails to one address. What the transport thinks
/// of the addresses it says itself.
absl::StatusOr<std::vector<std::string>> SplitRails(std::string_view address);

/// The other way round: what `SplitRails` makes `addresses` of.
std::string JoinRails(std::span<const std::string> addresses);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_RAILS_RAIL_ADDRESS_H_
