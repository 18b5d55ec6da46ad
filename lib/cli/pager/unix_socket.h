#ifndef FARFAULT_LIB_CLI_PAGER_UNIX_SOCKET_H_
#define FARFAULT_LIB_CLI_PAGER_UNIX_SOCKET_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/util/unique_fd.h"

// UNIX stream sockets that carry descriptors (unix(7)). All descriptors are close-on-exec.
namespace farfault {

/// Takes the place of a socket file that nobody listens on any more. kAlreadyExists: somebody does, or the file is no
/// socket. kInvalidArgument: the path is too long.
absl::StatusOr<UniqueFd> ListenUnix(const std::string& path);

/// kUnavailable: nobody listens there.
absl::StatusOr<UniqueFd> ConnectUnix(const std::string& path);

struct Received {
  std::size_t bytes = 0;      ///< 0: the end, for now.
  std::vector<UniqueFd> fds;  ///< That came with them.
  bool fds_lost = false;      ///< More came than are taken.
};

/// What is there, at most as much as fits. kUnavailable: nothing at the moment (non-blocking sockets). Else the error.
absl::StatusOr<Received> ReceiveWithFds(int socket, std::span<char> buffer);

/// All of it, waiting for room; the descriptors go with the first byte.
absl::Status SendAll(int socket, std::string_view bytes, std::span<const int> fds = {});
/// Exactly so much. kUnavailable: the peer has hung up.
absl::Status ReceiveAll(int socket, void* bytes, std::size_t count);

/// The process at the other end, 0 when it cannot be named from here (another PID namespace).
pid_t PeerProcess(int socket);

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_UNIX_SOCKET_H_
