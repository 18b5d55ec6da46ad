#ifndef FARFAULT_LIB_TRANSPORT_RAILS_RAIL_H_
#define FARFAULT_LIB_TRANSPORT_RAILS_RAIL_H_

#include <fmt/format.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "lib/transport/connect_error.h"
#include "lib/transport/rails/rail_keys.h"
#include "lib/transport/transport.h"
#include "lib/util/status_text.h"

namespace farfault {

/// One of the ways to the peer: a transport without rails, and what goes over it.
struct Rail {
  std::size_t index = 0;
  std::size_t count = 0;
  std::string address;
  std::unique_ptr<Transport> transport;
  std::atomic<std::uint64_t> bytes_read = 0;
  std::atomic<std::uint64_t> bytes_written = 0;

  /// "rail 2 of 2 (verbs://10.9.1.1:7000)".
  std::string name() const { return fmt::format("rail {} of {} ({})", index + 1, count, address); }
  /// `status`, which says what is wrong with this rail; OK stays OK.
  absl::Status Blame(const absl::Status& status) const {
    if (status.ok()) return status;
    const std::string text = fmt::format("{}: {}", name(), StatusText(status));
    return IsNobodyListens(status) ? NobodyListensError(text) : absl::Status(status.code(), text);
  }
};

}  // namespace farfault

#endif  // FARFAULT_LIB_TRANSPORT_RAILS_RAIL_H_
