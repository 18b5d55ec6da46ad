#ifndef FARFAULT_LIB_RUNTIME_DESTINATION_RESOURCES_H_
#define FARFAULT_LIB_RUNTIME_DESTINATION_RESOURCES_H_

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "farfault/options.h"
#include "lib/fault/uffd_feed.h"
#include "lib/fault/userfaultfd.h"
#include "lib/page/guest_placement.h"
#include "lib/page/page_state_file.h"
#include "lib/runtime/registered_buffer.h"
#include "lib/runtime/session_core.h"
#include "lib/runtime/sleeper.h"
#include "lib/session/destination_engine.h"

namespace farfault {

/// The real memory and descriptors under a destination's engine: frames, userfaultfd, scratch and run lists. Outlives
/// the engine.
class DestinationResources {
 public:
  /// Ahead of Prepare, before there is a peer: populates what has a file. A hint says why that is left to Prepare.
  absl::Status PopulateEarly(SessionCore& core, const DestinationOptions& options);
  /// Populates, registers and arms the memory. What has been made stays when a later part fails: see Disarm.
  absl::Status Prepare(SessionCore& core, const DestinationOptions& options, std::span<const PageRun> holes);

  /// For the engine; everything has been prepared.
  DestinationEngine::World MakeWorld(SessionCore& core, SourcePeer& source);
  /// The same as things to sleep on.
  Sleeper MakeSleeper(SessionCore& core) const;

  bool has_placement() const { return placement_ != nullptr; }
  GuestPlacement& placement() { return *placement_; }
  int uffd() const { return uffd_->fd(); }
  void KeepUserfaultfdOpen() { uffd_->StayOpen(); }

 private:
  absl::Status OpenPlacement(const SessionCore& core, const DestinationOptions& options);
  absl::Status MakePlacement(SessionCore& core, const DestinationOptions& options, std::span<const PageRun> holes);
  absl::Status OpenStateFile(const GuestMemory& memory, const std::string& path);
  absl::Status KeepStateFile(const GuestMemory& memory, const std::string& path);
  absl::StatusOr<Userfaultfd> OpenUserfaultfd(const GuestMemory& memory) const;

  PageStateFile state_file_;
  std::optional<Userfaultfd> uffd_;
  std::unique_ptr<GuestPlacement> placement_;
  std::unique_ptr<UffdFaultFeed> feed_;
  std::optional<RegisteredBuffer> scratch_;
  std::optional<RegisteredBuffer> run_lists_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_DESTINATION_RESOURCES_H_
