#ifndef FARFAULT_LIB_SIM_WORLD_SIDES_H_
#define FARFAULT_LIB_SIM_WORLD_SIDES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "farfault/predictor.h"
#include "lib/page/extent_table.h"
#include "lib/page/register_extents.h"
#include "lib/session/control_link.h"
#include "lib/session/destination_engine.h"
#include "lib/session/peer.h"
#include "lib/session/source_engine.h"
#include "lib/sim/page_image.h"
#include "lib/sim/scene.h"
#include "lib/sim/sim_kernel.h"
#include "lib/transport/sim/sim_fabric.h"
#include "lib/transport/transport.h"

namespace farfault::sim {

/// Memory that is registered with a transport; what is in it at first means nothing.
class WireMemory {
 public:
  WireMemory(Transport& transport, std::uint64_t length, RemoteAccess access);

  std::span<std::byte> bytes() const { return registration_->bytes(); }
  std::uint32_t key() const { return registration_->local_key(); }
  RemoteMemory remote() const { return {registration_->remote_address(), bytes().size(), registration_->remote_key()}; }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::unique_ptr<Line[]> lines_;
  std::unique_ptr<RegisteredMemory> registration_;
};

/// The channels of one side.
struct SideChannels {
  std::unique_ptr<Channel> control;
  std::vector<std::unique_ptr<Channel>> demand;
  std::vector<std::unique_ptr<Channel>> push;

  static std::vector<Channel*> Pointers(const std::vector<std::unique_ptr<Channel>>& channels);
};

/// Memory and keys of the source, and its engine.
class SourceSide {
 public:
  SourceSide(Scene& scene, SimFabric& fabric, PageImage& image);

  Transport& transport() { return *transport_; }
  SideChannels& channels() { return channels_; }
  SourcePeer Describe() const;
  /// When the channels are there and the peer has said what it has.
  void Start(DestinationPeer destination);
  SourceEngine& engine() { return *engine_; }

 private:
  Scene& scene_;
  std::unique_ptr<Transport> transport_;
  RegisteredExtents regions_;
  ExtentTable memory_;
  WireMemory tables_;
  WireMemory lists_;
  WireMemory control_buffers_;
  std::unique_ptr<Predictor> predictor_;
  SideChannels channels_;
  DestinationPeer destination_;
  std::unique_ptr<ControlLink> control_;
  std::unique_ptr<SourceEngine> engine_;
};

/// Memory and keys of the destination, and its engine.
class DestinationSide {
 public:
  DestinationSide(Scene& scene, SimFabric& fabric, SimKernel& kernel);

  Transport& transport() { return *transport_; }
  SideChannels& channels() { return channels_; }
  DestinationPeer Describe() const;
  void Start(SourcePeer source);
  DestinationEngine& engine() { return *engine_; }

 private:
  Scene& scene_;
  SimKernel& kernel_;
  std::unique_ptr<Transport> transport_;
  std::vector<std::unique_ptr<RegisteredMemory>> frames_;  // Null: staged.
  std::unique_ptr<RegisteredMemory> demand_frames_;
  std::vector<WireMemory> staging_;
  WireMemory scratch_;
  WireMemory list_buffers_;
  WireMemory control_buffers_;
  SideChannels channels_;
  SourcePeer source_;
  std::unique_ptr<ControlLink> control_;
  std::unique_ptr<DestinationEngine> engine_;
};

/// Connects the two, control, demand and push.
void ConnectSides(const WorldConfig& config, SimFabric& fabric, SourceSide& source, DestinationSide& destination);

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_WORLD_SIDES_H_
