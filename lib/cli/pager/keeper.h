#ifndef FARFAULT_LIB_CLI_PAGER_KEEPER_H_
#define FARFAULT_LIB_CLI_PAGER_KEEPER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/cli/pager/front_desk.h"
#include "lib/cli/pager/handshake.h"
#include "lib/util/unique_fd.h"

// A small process that holds a guest's descriptors for as long as its pager is at work, so that another pager can go on
// when that one dies: it repeats the hypervisor's handshake to whoever comes to its socket. The guest is parked
// meanwhile. It ends with the guest's process, or when the pager says that it has done its work.
namespace farfault {

/// What the pager of a kept guest holds. Hanging up without Dismiss leaves the guest to the next pager.
class KeptGuest {
 public:
  KeptGuest() = default;
  explicit KeptGuest(UniqueFd connection) : connection_(std::move(connection)) {}

  /// The guest needs no pager any more: the keeper ends.
  void Dismiss();
  bool held() const { return connection_.valid(); }

 private:
  UniqueFd connection_;
};

/// Forks the keeper. Removes `state_file` before: one that a guest without a keeper has left must not be taken for this
/// guest's, at whatever moment its pager dies. kAlreadyExists: there is a keeper at `path` already, and the file is its
/// guest's.
absl::StatusOr<KeptGuest> StartKeeper(const std::string& path, const std::string& state_file,
                                      const Handshake& handshake);

struct TakenOver {
  Arrival::Guest guest;
  KeptGuest kept;
};

/// What a keeper at `path` has. kNotFound: there is none. kFailedPrecondition: its pager is still at work.
absl::StatusOr<TakenOver> AskKeeper(const std::string& path, absl::Duration patience);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_KEEPER_H_
