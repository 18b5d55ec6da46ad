#ifndef FARFAULT_TEST_INTEGRATION_RUNTIME_SCRIPTED_DESTINATION_H_
#define FARFAULT_TEST_INTEGRATION_RUNTIME_SCRIPTED_DESTINATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/session/wire.h"
#include "lib/transport/transport.h"
#include "test/support/scripted_peer.h"

namespace farfault {

/// What a destination does from the first connection to the switchover, in this order.
enum class DestinationStep : std::uint8_t {
  kConnected,
  kGreeted,
  kProved,
  kAcceptedRegions,
  kOpenedDemandChannel,
  kOpenedPushChannel,
  kHeardMemory,
  kToldFrames,
  kPrepared,  ///< A source's session exists from here on.
  kMayActivate,
  kHeardSwitchOver,  ///< Whether the guest runs there nobody can tell from here on.
};

std::vector<DestinationStep> DestinationSteps(DestinationStep first, DestinationStep last);

/// Plays a destination, message for message, up to any step; its destruction closes everything.
class ScriptedDestination {
 public:
  /// Listens; of one region of so many bytes.
  explicit ScriptedDestination(std::size_t bytes);
  /// Connects.
  ScriptedDestination(std::size_t bytes, const std::string& address);

  const std::string& address() const { return peer_.address(); }

  /// Takes all steps from the first to `last`.
  void Play(DestinationStep last);

  /// One step more.
  void Take(DestinationStep step);
  /// Behind kHeardSwitchOver: takes the guest over, and needs nothing more of its memory. Returns when the source has
  /// said goodbye.
  void BecomeResident();
  /// What comes of a READ of the source's first page, from kHeardMemory on.
  CompletionStatus ReadSource();

 private:
  void HearMemory();
  void TellFrames();

  const bool listens_;
  std::vector<std::byte> frames_;
  ScriptedPeer peer_;
  std::unique_ptr<RegisteredMemory> memory_;
  WireExtent source_;
  std::unique_ptr<Channel> demand_;
  std::unique_ptr<Channel> push_;
};

}  // namespace farfault

#endif  // FARFAULT_TEST_INTEGRATION_RUNTIME_SCRIPTED_DESTINATION_H_
