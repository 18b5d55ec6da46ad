#include "lib/sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace farfault::sim {
namespace {

// A world that has not come to its end by then never will: the slowest random one needs a fraction of it.
constexpr Nanos kLongestMigration = 20'000'000'000;
constexpr std::uint64_t kMostSteps = 20'000'000;
// What is still on the wire when a session has ended gets this long to do harm.
constexpr Nanos kAftermath = 1'000'000;

}  // namespace

PageLayout World::LayoutOf(const WorldConfig& config) {
  std::vector<PageLayout::RegionPages> regions;
  PageIndex first = 0;
  for (const RegionConfig& region : config.regions) {
    regions.push_back({{first, region.pages}, region.page_size});
    first += region.pages;
  }
  return PageLayout(std::move(regions));
}

World::World(const WorldConfig& config)
    : config_(config),
      scene_(config_, LayoutOf(config)),
      fabric_(SimFabric::CreateVirtual(config.link)),
      source_image_(scene_.layout),
      kernel_(scene_, source_image_, config.destination.demand_slots),
      guest_(scene_, source_image_, kernel_),
      wire_(scene_, source_image_, kernel_),
      source_(scene_, *fabric_, source_image_),
      destination_(scene_, *fabric_, kernel_),
      stale_(scene_.layout.total_pages()) {
  fabric_->Watch(&wire_);
  ConnectSides(config_, *fabric_, source_, destination_);
  source_.Start(destination_.Describe());
  destination_.Start(source_.Describe());
  for (const SimFault& fault : config_.faults) fabric_->AddFault(fault);
  At(0, Actor::kSourceThread, source_thread_.sleep);
  At(0, Actor::kDestinationThread, destination_thread_.sleep);
  At(0, Actor::kPrePageRound);
  At(config_.allow_activation_at, Actor::kAllowActivation);
  if (config_.guest.source_write_every > 0) At(0, Actor::kSourceWrite);
  if (config_.guest.early_discard_every > 0) At(0, Actor::kEarlyDiscard);
}

World::~World() { fabric_->Watch(nullptr); }

void World::NoteStale() {
  for (const PageRun& run : guest_.TakeDirty()) {
    stale_.SetRun(run);
    source_.engine().MarkStale(run);
  }
}

void World::PrePageRound() {
  if (source_.engine().phase() != SourceEngine::Phase::kPrePaging) return;
  const Nanos again = scene_.now + 1 + scene_.UpTo(config_.prepage.round_every);
  if (config_.prepage.wait_for_idle && !source_.engine().prepaging_idle()) return At(again, Actor::kPrePageRound);
  if (rounds_done_ == config_.prepage.rounds) return SwitchOver();
  ++rounds_done_;
  NoteStale();
  std::vector<PageRun> offers;
  for (PageIndex page = 0; page < stale_.size(); ++page) {
    if (source_.engine().fresh().Test(page) || scene_.random.Below(100) >= config_.prepage.offer_percent) continue;
    // Longer runs than one page, now and then across what is fresh.
    offers.push_back(scene_.layout.ClipToRegion({page, scene_.random.Between(1, 8)}));
    page = offers.back().end() - 1;
  }
  scene_.Note("pre-page round", rounds_done_, offers.size());
  source_.engine().OfferPrePage(offers);
  Wake(source_thread_, Actor::kSourceThread);
  At(again, Actor::kPrePageRound);
}

void World::SwitchOver() {
  scene_.Note("guest stops");
  guest_stopped_ = true;
  NoteStale();
  std::vector<PageHeat> hot;
  for (PageIndex page = 0; page < stale_.size(); ++page) {
    if (!stale_.Test(page)) continue;
    if (!source_.engine().fresh().Test(page)) dirty_.push_back({page, 1});
    hot.push_back({page, 1});
  }
  source_.engine().BeginSwitchOver(dirty_, hot);
  Wake(source_thread_, Actor::kSourceThread);
}

// Whoever gives pages back at the destination before the guest is there starts it only when the kernel is done.
void World::AllowActivation() {
  if (early_discard_.count > 0) {
    return At(scene_.now + 1 + scene_.UpTo(config_.scheduling.wake_latency), Actor::kAllowActivation);
  }
  activation_allowed_ = true;
  destination_.engine().AllowActivation();
}

void World::EarlyDiscard() {
  if (activation_allowed_) return;
  const PageIndex page = scene_.random.Below(scene_.layout.total_pages());
  early_discard_ = scene_.layout.ClipToRegion({page, scene_.random.Between(1, 8)});
  kernel_.Discard(early_discard_, guest_.vcpus());
}

void World::EarlyZap() {
  kernel_.Zap(std::exchange(early_discard_, {}));
  At(scene_.now + 1 + scene_.UpTo(config_.guest.early_discard_every), Actor::kEarlyDiscard);
}

void World::OnGuestMoved() {
  scene_.Note("guest moves");
  guest_moved_ = true;
  wire_.transfers().OnPushStarted();  // What stays from pre-paging has landed, and the source does not know yet.
  moved_at_ = scene_.now;
  if (!guest_stopped_) scene_.Report("the guest runs on one side", "the guest runs at both");
  guest_.CheckAll();
  for (std::size_t vcpu = 0; vcpu < guest_.vcpus(); ++vcpu) {
    At(scene_.now + scene_.UpTo(config_.guest.think), Actor::kVcpu, vcpu);
  }
  if (config_.kernel.reclaim_every > 0) At(scene_.now, Actor::kReclaim);
  if (config_.fetch_rest_after) At(scene_.now + *config_.fetch_rest_after, Actor::kFetchRest);
}

void World::WatchPhases() {
  if (!guest_moved_ && destination_.engine().guest_may_run()) OnGuestMoved();
  if (!push_start_planned_ && source_.engine().phase() == SourceEngine::Phase::kSwitchedOver) {
    push_start_planned_ = true;
    At(scene_.now + config_.start_push_after, Actor::kStartPush);
  }
  // Without a push somebody has to ask for what the guest never touches.
  if (!config_.push.enabled && !fetch_rest_called_ && guest_moved_ && guest_.finished()) {
    fetch_rest_called_ = true;
    At(scene_.now, Actor::kFetchRest);
  }
  CheckFailure();
}

bool World::Finished() {
  using SourcePhase = SourceEngine::Phase;
  const SourcePhase source = source_.engine().phase();
  const DestinationPhase destination = destination_.engine().phase();
  const bool source_over = source == SourcePhase::kDrained || source == SourcePhase::kFailed;
  const bool all_here =
      destination == DestinationPhase::kDone && destination_.engine().all_mapped() && guest_.finished();
  if (!source_over || !(all_here || destination == DestinationPhase::kFailed)) return false;
  if (!settled_at_) settled_at_ = scene_.now + kAftermath;
  return scene_.now >= *settled_at_;
}

bool World::OutOfPatience() const { return scene_.now > kLongestMigration || steps_ > kMostSteps; }

WorldResult World::Run() {
  while (!scene_.violation && !Finished()) {
    Step();
    if (OutOfPatience()) scene_.Report("every migration ends", "it goes on and on");
  }
  if (!scene_.violation) CheckEnd();
  WorldResult result;
  result.violation = scene_.violation;
  result.failed = destination_.engine().phase() == DestinationEngine::Phase::kFailed ||
                  source_.engine().phase() == SourceEngine::Phase::kFailed;
  const absl::Status& failure =
      destination_.engine().failure().ok() ? source_.engine().failure() : destination_.engine().failure();
  result.failure = std::string(failure.message());
  result.virtual_time = scene_.now;
  result.switched_over_at = moved_at_;
  result.steps = steps_;
  result.trace_hash = scene_.trace.hash() ^ fabric_->trace_hash();
  if (scene_.violation) result.trace_tail = scene_.trace.Tail();
  result.discarded_pages = kernel_.discarded_pages();
  result.source = source_.engine().Stats();
  result.destination = destination_.engine().Stats();
  return result;
}

WorldResult RunSeed(std::uint64_t seed, bool echo) {
  World world(RandomWorld(seed));
  world.set_echo(echo);
  return world.Run();
}

}  // namespace farfault::sim
