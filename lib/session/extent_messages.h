#ifndef FARFAULT_LIB_SESSION_EXTENT_MESSAGES_H_
#define FARFAULT_LIB_SESSION_EXTENT_MESSAGES_H_

#include <cstddef>
#include <span>

#include "absl/status/status.h"
#include "lib/page/extent_table.h"
#include "lib/session/control_link.h"

namespace farfault {

/// As many kExtents messages as it takes.
void SendExtents(ControlLink& link, std::span<const Extent> extents);
/// Adds what a kExtents message says to `table`. kDataLoss when that makes no sense: pages outside the memory, across
/// regions or twice, or more extents than a table holds.
absl::Status AddExtents(std::span<const std::byte> payload, ExtentTable& table);

}  // namespace farfault

#endif  // FARFAULT_LIB_SESSION_EXTENT_MESSAGES_H_
