#include "lib/transport/channel_slots.h"

#include <fmt/format.h>

namespace farfault {

absl::Status CheckSlots(const ChannelOptions& options) {
  const auto sound = [](std::uint32_t slots) { return slots > 0 && slots <= kMostSlots; };
  if (sound(options.send_slots) && sound(options.receive_slots)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("a channel needs 1 to {} slots; {} to send and {} to receive were "
                  "asked for",
                  kMostSlots, options.send_slots, options.receive_slots));
}

}  // namespace farfault
