#ifndef FARFAULT_LIB_CLI_QEMU_RAM_SERVER_H_
#define FARFAULT_LIB_CLI_QEMU_RAM_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "farfault/session.h"
#include "lib/util/deadline.h"

namespace farfault {

struct RamServerOptions {
  /// Where `farfault pager` listens for the source of its guest.
  std::string pager;
  std::string key;
  std::string predictor = "bubbling";
  bool push = true;
  /// How long the pager may take to prepare its memory.
  absl::Duration prepare_timeout = absl::Minutes(5);
  /// How long to wait for another pager when the one that has the guest is lost.
  absl::Duration reconnect_timeout = absl::Minutes(5);
  EventListener on_event;
};

/// The source's side of a guest's RAM, towards the pager that brings it to the destination. One thread.
class RamServer {
 public:
  /// The region, as `farfault pager` calls what has no other name.
  static constexpr const char* kRegionName = "ram";

  explicit RamServer(RamServerOptions options) : options_(std::move(options)) {}

  /// Meets the pager. The memory belongs to a guest that may run; errors are SourceSession::Create's.
  absl::StatusOr<std::unique_ptr<SourceSession>> Meet(GuestMemory memory, bool track_dirty, absl::Duration patience);

  /// The RAM file as this process maps it, until the server ends: enough where nothing is pre-paged. The errors of
  /// opening it say what to do.
  absl::StatusOr<GuestMemory> MapFile(const std::string& path);

  /// Serves a guest that has been handed over until the destination has all of it, whatever happens to its pagers: when
  /// one is lost, the next is served the file at `path`. Null: none is there yet. kDataLoss: none has come for
  /// `reconnect_timeout`.
  absl::StatusOr<SessionStats> Drain(std::unique_ptr<SourceSession> session, const std::string& path);

  void Hint(std::string text) const;

 private:
  absl::StatusOr<std::unique_ptr<SourceSession>> Begin(GuestMemory memory, bool track_dirty, absl::Duration patience);
  absl::StatusOr<std::unique_ptr<SourceSession>> MeetAnother(const std::string& path, Deadline deadline);
  absl::StatusOr<std::unique_ptr<SourceSession>> HandOverAgain(GuestMemory memory, absl::Duration patience);

  RamServerOptions options_;
  OwnedRegion file_;
  bool told_to_wait_ = false;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_CLI_QEMU_RAM_SERVER_H_
