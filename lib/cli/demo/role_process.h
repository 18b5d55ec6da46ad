#ifndef FARFAULT_LIB_CLI_DEMO_ROLE_PROCESS_H_
#define FARFAULT_LIB_CLI_DEMO_ROLE_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/util/deadline.h"

namespace farfault {

/// A child that runs `farfault demo-role …`. It dies with its parent, and with this object.
class RoleProcess {
 public:
  /// `arguments` follow "demo-role"; `inherited` descriptors keep their numbers in the child.
  static absl::StatusOr<std::unique_ptr<RoleProcess>> Spawn(const std::vector<std::string>& arguments,
                                                            const std::vector<int>& inherited);

  explicit RoleProcess(pid_t pid) : pid_(pid) {}
  RoleProcess(const RoleProcess&) = delete;
  RoleProcess& operator=(const RoleProcess&) = delete;
  ~RoleProcess();

  /// Waits until it has ended, and kills it at the deadline. How it ended: empty when all was well, else "was killed
  /// by signal 9 (Killed)" or "ended with status 3".
  std::string Reap(Deadline deadline);

  /// How it ended, if it has by `deadline`; empty, and the process goes on, when it has not.
  std::string FateIfEnded(Deadline deadline);

 private:
  pid_t pid_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_DEMO_ROLE_PROCESS_H_
