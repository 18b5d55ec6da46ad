#include "lib/sim/world_sides.h"

#include <algorithm>
#include <cassert>
#include <string_view>
#include <utility>

#include "lib/sim/adversary_predictor.h"

namespace farfault::sim {
namespace {

std::unique_ptr<Predictor> PredictorOf(const WorldConfig& config) {
  if (config.predictor == "adversary") return std::make_unique<AdversaryPredictor>(config.seed);
  auto predictor = MakePredictor(config.predictor);
  assert(predictor.ok());
  return *std::move(predictor);
}

std::unique_ptr<RegisteredMemory> MustRegister(Transport& transport, std::span<std::byte> bytes, RemoteAccess access) {
  auto memory = transport.Register(bytes, access);
  assert(memory.ok());
  return *std::move(memory);
}

bool AnyStaged(const WorldConfig& config) {
  return std::any_of(config.regions.begin(), config.regions.end(),
                     [](const RegionConfig& region) { return !region.direct; });
}

}  // namespace

WireMemory::WireMemory(Transport& transport, std::uint64_t length, RemoteAccess access)
    : lines_(std::make_unique_for_overwrite<Line[]>((length + sizeof(Line) - 1) / sizeof(Line))),
      registration_(MustRegister(transport, {lines_.get()->bytes, length}, access)) {}

std::vector<Channel*> SideChannels::Pointers(const std::vector<std::unique_ptr<Channel>>& channels) {
  std::vector<Channel*> pointers;
  for (const std::unique_ptr<Channel>& channel : channels) pointers.push_back(channel.get());
  return pointers;
}

SourceSide::SourceSide(Scene& scene, SimFabric& fabric, PageImage& image)
    : scene_(scene),
      transport_(fabric.MakeTransport()),
      memory_(scene.layout),
      tables_(*transport_, SourceTableLayout{scene.layout.total_pages()}.total_bytes(), RemoteAccess::kReadWrite),
      lists_(*transport_, Pusher::ListBytes(scene.config.push_channels), RemoteAccess::kNone),
      control_buffers_(*transport_, ControlLink::kBufferBytes, RemoteAccess::kNone),
      predictor_(PredictorOf(scene.config)) {
  std::ranges::fill(tables_.bytes(), std::byte{0});
  for (std::size_t i = 0; i < scene.config.regions.size(); ++i) {
    regions_.push_back(MustRegister(*transport_, image.region(i), RemoteAccess::kRead));
    memory_.Add(LocalExtent(scene.layout.regions()[i].pages, *regions_.back()));
  }
}

SourcePeer SourceSide::Describe() const {
  SourcePeer peer;
  peer.memory = ExtentTable(scene_.layout);
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    peer.memory.Add(RemoteExtent(scene_.layout.regions()[i].pages, *regions_[i]));
  }
  peer.tables = tables_.remote();
  return peer;
}

void SourceSide::Start(DestinationPeer destination) {
  destination_ = std::move(destination);
  control_ = std::make_unique<ControlLink>(*channels_.control, control_buffers_.bytes(), control_buffers_.key());
  Pusher::Resources push{.memory = memory_,
                         .channels = SideChannels::Pointers(channels_.push),
                         .lists = lists_.bytes(),
                         .lists_key = lists_.key()};
  engine_ = std::make_unique<SourceEngine>(
      SourceEngine::World{.layout = scene_.layout,
                          .destination = destination_,
                          .control = *control_,
                          .tables = SourceTables(tables_.bytes(), scene_.layout.total_pages()),
                          .push = std::move(push),
                          .predictor = *predictor_,
                          .clock = scene_},
      scene_.config.push);
}

DestinationSide::DestinationSide(Scene& scene, SimFabric& fabric, SimKernel& kernel)
    : scene_(scene),
      kernel_(kernel),
      transport_(fabric.MakeTransport()),
      demand_frames_(MustRegister(*transport_, kernel.demand_frames(), RemoteAccess::kNone)),
      scratch_(*transport_, scene.config.destination.demand_slots * DemandReader::kScratchBytes, RemoteAccess::kNone),
      list_buffers_(*transport_, RunListReceiver::BufferBytes(scene.config.push_channels), RemoteAccess::kNone),
      control_buffers_(*transport_, ControlLink::kBufferBytes, RemoteAccess::kNone) {
  std::vector<std::uint32_t> keys;
  for (std::size_t i = 0; i < scene.config.regions.size(); ++i) {
    const bool direct = scene.config.regions[i].direct;
    frames_.push_back(direct ? MustRegister(*transport_, kernel.memory().region(i), RemoteAccess::kWrite) : nullptr);
    keys.push_back(direct ? frames_.back()->local_key() : 0);
  }
  kernel.set_frame_keys(std::move(keys));
  kernel.set_demand_key(demand_frames_->local_key());
  if (!AnyStaged(scene.config)) return;
  for (std::size_t i = 0; i < scene.config.push_channels; ++i) {
    staging_.emplace_back(*transport_, scene.config.staging_bytes, RemoteAccess::kWrite);
  }
}

DestinationPeer DestinationSide::Describe() const {
  DestinationPeer peer;
  peer.frames = ExtentTable(scene_.layout);
  for (std::size_t i = 0; i < frames_.size(); ++i) {
    if (frames_[i] != nullptr) peer.frames.Add(RemoteExtent(scene_.layout.regions()[i].pages, *frames_[i]));
  }
  for (const WireMemory& ring : staging_) peer.staging.push_back(ring.remote());
  return peer;
}

void DestinationSide::Start(SourcePeer source) {
  source_ = std::move(source);
  control_ = std::make_unique<ControlLink>(*channels_.control, control_buffers_.bytes(), control_buffers_.key());
  RunListReceiver::Resources push{.channels = SideChannels::Pointers(channels_.push),
                                  .buffers = list_buffers_.bytes(),
                                  .buffers_key = list_buffers_.key(),
                                  .staging = {}};
  for (const WireMemory& ring : staging_) push.staging.emplace_back(ring.bytes());
  engine_ = std::make_unique<DestinationEngine>(
      DestinationEngine::World{.layout = scene_.layout,
                               .source = source_,
                               .control = *control_,
                               .demand_channels = SideChannels::Pointers(channels_.demand),
                               .push = std::move(push),
                               .scratch = {scratch_.bytes(), scratch_.key()},
                               .placement = kernel_,
                               .faults = kernel_,
                               .clock = scene_,
                               .before_guest_runs = [this] { kernel_.OnSwitchedOver(); }},
      scene_.config.destination);
}

void ConnectSides(const WorldConfig& config, SimFabric& fabric, SourceSide& source, DestinationSide& destination) {
  const auto connect = [&](std::string_view name, std::uint32_t send_slots) {
    const ChannelOptions options{.send_slots = send_slots, .receive_slots = 64, .name = name};
    return fabric.ConnectPair(source.transport(), options, destination.transport(), options);
  };
  SimFabric::Pair control = connect("control", 32);
  source.channels().control = std::move(control.first);
  destination.channels().control = std::move(control.second);
  for (std::size_t i = 0; i < config.demand_channels; ++i) {
    SimFabric::Pair pair = connect("demand", config.demand_send_slots);
    source.channels().demand.push_back(std::move(pair.first));
    destination.channels().demand.push_back(std::move(pair.second));
  }
  for (std::size_t i = 0; i < config.push_channels; ++i) {
    SimFabric::Pair pair = connect("push", config.push_send_slots);
    source.channels().push.push_back(std::move(pair.first));
    destination.channels().push.push_back(std::move(pair.second));
  }
}

}  // namespace farfault::sim
