#ifndef FARFAULT_LIB_RUNTIME_SOURCE_RESOURCES_H_
#define FARFAULT_LIB_RUNTIME_SOURCE_RESOURCES_H_

#include <optional>

#include "absl/status/status.h"
#include "farfault/options.h"
#include "lib/runtime/registered_buffer.h"
#include "lib/runtime/session_core.h"
#include "lib/runtime/sleeper.h"
#include "lib/runtime/source_memory.h"
#include "lib/session/peer.h"
#include "lib/session/source_engine.h"

namespace farfault {

/// The real memory under a source's engine, and what the destination has answered to the offer of it. Outlives the
/// engine, and ends after the channels.
class SourceResources {
 public:
  /// `core` outlives this object.
  explicit SourceResources(SessionCore& core) : core_(core), memory_(core.memory, core.layout) {}

  /// Registers memory and tables. After an error the guest's memory is as it was.
  absl::Status Register();
  /// Tells the destination what it may use, and waits until it is prepared.
  absl::Status Exchange(const SessionOptions& options);

  /// For the engine, when both have been done.
  SourceEngine::World MakeWorld(Predictor& predictor);
  /// The same as things to sleep on.
  Sleeper MakeSleeper() const;

  SourceMemory& memory() { return memory_; }

 private:
  SessionCore& core_;
  SourceMemory memory_;
  std::optional<RegisteredBuffer> tables_;
  std::optional<RegisteredBuffer> lists_;
  DestinationPeer destination_;
};

}  // namespace farfault

#endif  // FARFAULT_LIB_RUNTIME_SOURCE_RESOURCES_H_
