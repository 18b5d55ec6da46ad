#ifndef FARFAULT_LIB_CLI_PAGER_FRONT_DESK_H_
#define FARFAULT_LIB_CLI_PAGER_FRONT_DESK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/cli/pager/handshake.h"
#include "lib/util/deadline.h"
#include "lib/util/unique_fd.h"

namespace farfault {

/// A connection on which a hypervisor hands its guest over, in pieces as they come. One thread.
class Arrival {
 public:
  enum class State : std::uint8_t { kWaiting, kComplete, kFailed };

  /// `socket` is non-blocking.
  Arrival(UniqueFd socket, Deadline deadline);

  int fd() const { return socket_.get(); }
  /// Nothing more comes, as far as it can be seen now.
  bool at_end() const { return at_end_; }
  State Poll();
  /// When Poll has something to do at the latest, whether anything comes or not.
  Deadline due() const;
  /// kFailed: why.
  const absl::Status& failure() const { return failure_; }

  /// kComplete: the handshake with its descriptors; `socket` is the connection, which some hypervisors keep open.
  struct Guest {
    Handshake handshake;
    UniqueFd socket;
  };
  Guest Take() { return {*std::move(handshake_), std::move(socket_)}; }

 private:
  State Fail(absl::Status why);
  absl::Status Read();
  absl::Status TakeFds(std::vector<UniqueFd> fds);
  State OnEnd();

  UniqueFd socket_;
  Deadline deadline_;
  std::string text_;
  std::size_t behind_ = 0;  // Bytes that came after the handshake.
  std::vector<UniqueFd> fds_;
  std::optional<Handshake> handshake_;
  bool at_end_ = false;
  int ends_left_;
  Deadline look_again_ = Deadline::Never();
  absl::Status failure_;
};

/// Where hypervisors come to. Any number of silent or hostile strangers delay nobody. One thread.
class FrontDesk {
 public:
  /// `complain` hears of strangers that were sent away.
  static absl::StatusOr<FrontDesk> Open(const std::string& path, absl::Duration patience,
                                        std::function<void(const absl::Status&)> complain);

  /// Waits for the next guest. kCancelled when `stop` becomes readable.
  absl::StatusOr<Arrival::Guest> Next(int stop);

 private:
  FrontDesk(UniqueFd listener, absl::Duration patience, std::function<void(const absl::Status&)> complain)
      : listener_(std::move(listener)), patience_(patience), complain_(std::move(complain)) {}
  void AcceptNew();
  absl::Status WaitForSomething(int stop);

  UniqueFd listener_;
  absl::Duration patience_;
  std::function<void(const absl::Status&)> complain_;
  std::vector<Arrival> arrivals_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_PAGER_FRONT_DESK_H_
