#ifndef FARFAULT_LIB_CLI_DEMO_REMOTE_COPY_H_
#define FARFAULT_LIB_CLI_DEMO_REMOTE_COPY_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/cli/demo/role_link.h"

namespace farfault {

/// Keeps a copy of some memory at the other end of a line, by telling what has changed since the last time. The copy
/// begins as zeros. One thread.
class RemoteCopy {
 public:
  /// `kind` is that of its lines: {at, bytes}.
  RemoteCopy(RoleLink& link, std::string kind) : link_(link), kind_(std::move(kind)) {}

  /// kUnavailable when the other end is closed. `memory` has the same length every time.
  absl::Status Update(std::span<const std::byte> memory);

  /// At the other end: what a line says. kDataLoss when it is not inside `copy`.
  static absl::Status Apply(const nlohmann::json& line, std::span<std::byte> copy);

 private:
  RoleLink& link_;
  const std::string kind_;
  std::vector<std::byte> told_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_REMOTE_COPY_H_
