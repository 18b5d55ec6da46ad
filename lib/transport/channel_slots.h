#ifndef FARFAULT_LIB_TRANSPORT_CHANNEL_SLOTS_H_
#define FARFAULT_LIB_TRANSPORT_CHANNEL_SLOTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "lib/transport/transport.h"

namespace farfault {

inline constexpr std::uint32_t kMostSlots = 1u << 20;

/// kInvalidArgument when a channel cannot have as many slots as the options ask for. For transports.
absl::Status CheckSlots(const ChannelOptions& options);

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_CHANNEL_SLOTS_H_
