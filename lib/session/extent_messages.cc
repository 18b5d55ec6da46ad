#include "lib/session/extent_messages.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "lib/session/wire.h"

namespace farfault {

void SendExtents(ControlLink& link, std::span<const Extent> extents) {
  std::vector<WireExtent> wire;
  for (; !extents.empty(); extents = extents.subspan(wire.size())) {
    wire.clear();
    for (const Extent& extent : extents.first(std::min(kMaxExtentsPerMessage, extents.size()))) {
      wire.push_back({extent.pages.first, extent.pages.count, extent.address, extent.key, 0});
    }
    link.Send(MessageType::kExtents, std::as_bytes(std::span(wire)));
  }
}

absl::Status AddExtents(std::span<const std::byte> payload, ExtentTable& table) {
  bool sound = !payload.empty() && payload.size() % sizeof(WireExtent) == 0;
  for (; sound && !payload.empty(); payload = payload.subspan(sizeof(WireExtent))) {
    WireExtent entry;
    std::memcpy(&entry, payload.data(), sizeof(entry));
    sound = table.Add({.pages = {entry.first, entry.count}, .address = entry.address, .key = entry.key});
  }
  return sound ? absl::OkStatus() : absl::DataLossError("the peer's pages and keys make no sense");
}

}  // namespace farfault
