#ifndef FARFAULT_LIB_CLI_DEMO_ROLE_LINK_H_
#define FARFAULT_LIB_CLI_DEMO_ROLE_LINK_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/util/deadline.h"
#include "lib/util/mutex.h"

namespace farfault {

/// One end of the line between the coordinator and a role: JSON objects, one a line, each with the key "kind". Owns its
/// descriptor. Any thread may send; one thread at a time receives.
class RoleLink {
 public:
  /// Two ends of a new line.
  static absl::StatusOr<std::pair<std::unique_ptr<RoleLink>, std::unique_ptr<RoleLink>>> CreatePair();

  explicit RoleLink(int fd) : fd_(fd) {}
  RoleLink(const RoleLink&) = delete;
  RoleLink& operator=(const RoleLink&) = delete;
  ~RoleLink();

  int fd() const { return fd_; }

  /// kUnavailable when the other end is closed.
  absl::Status Send(std::string_view kind, nlohmann::json body = nlohmann::json::object()) ABSL_LOCKS_EXCLUDED(mutex_);

  /// The next object. kDeadlineExceeded; kUnavailable when the other end is closed.
  absl::StatusOr<nlohmann::json> Receive(Deadline deadline);

  /// Something is there already, without looking at the descriptor.
  bool has_line() const { return received_.find('\n') != std::string::npos; }

 private:
  const int fd_;
  Mutex mutex_;
  std::string received_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_ROLE_LINK_H_
