#ifndef FARFAULT_TEST_INTEGRATION_RUNTIME_SCRIPTED_SOURCE_H_
#define FARFAULT_TEST_INTEGRATION_RUNTIME_SCRIPTED_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/runtime/registered_buffer.h"
#include "lib/transport/transport.h"
#include "test/support/scripted_peer.h"
#include "test/support/session_pair.h"

namespace farfault {

/// What a source does from the first connection to the switchover, in this order.
enum class SourceStep : std::uint8_t {
  kConnected,
  kGreeted,
  kProved,
  kToldRegions,
  kOpenedDemandChannel,
  kOpenedPushChannel,
  kToldHoles,
  kToldMemory,
  kToldTables,
  kHeardPrepared,  ///< The destination's memory is armed from here on.
  kHeardMayActivate,
  kToldDirtyRuns,
};

std::vector<SourceStep> SourceSteps(SourceStep first, SourceStep last);

/// Plays a source, message for message, up to any step; its destruction closes everything.
class ScriptedSource {
 public:
  /// Listens. The image, of one region, outlives this object.
  explicit ScriptedSource(GuestImage& image);
  /// Connects.
  ScriptedSource(GuestImage& image, const std::string& address);

  const std::string& address() const { return peer_.address(); }

  /// Answers a peer that only asks what there is; another comes next.
  void Describe();

  /// Takes all steps from the first to `last`.
  void Play(SourceStep last);

 private:
  void Take(SourceStep step);
  void TellMemory();
  void TellTables();

  GuestImage& image_;
  const bool listens_;
  const std::uint64_t pages_;
  ScriptedPeer peer_;
  RegisteredBuffer tables_;
  std::unique_ptr<RegisteredMemory> memory_;
  std::unique_ptr<Channel> demand_;
  std::unique_ptr<Channel> push_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_RUNTIME_SCRIPTED_SOURCE_H_
