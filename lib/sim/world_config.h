#ifndef FARFAULT_LIB_SIM_WORLD_CONFIG_H_
#define FARFAULT_LIB_SIM_WORLD_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "farfault/options.h"
#include "lib/session/destination_engine.h"
#include "lib/transport/sim/sim_link_model.h"
#include "lib/util/clock.h"

namespace farfault::sim {

struct RegionConfig {
  std::uint64_t pages = 64;
  /// Any multiple of 8: worlds that are about order and not about bytes use small pages.
  std::uint64_t page_size = 4096;
  bool direct = true;
  /// Pages that are collapsed into one mapping; 0: never.
  std::uint32_t chunk_pages = 0;
  /// Of 100 pages, how many were never populated.
  std::uint32_t hole_percent = 0;
};

enum class AccessPattern : std::uint8_t { kRandom, kSequential, kStrided, kHotCold };

struct GuestConfig {
  std::size_t vcpus = 1;
  AccessPattern pattern = AccessPattern::kRandom;
  std::uint64_t stride = 1;
  std::uint64_t touches_per_vcpu = 100;
  std::uint32_t write_percent = 30;
  /// Of 100 touches, how many give the page back to the kernel instead.
  std::uint32_t discard_percent = 0;
  /// At most, between two discards at the destination while the guest still runs at the source; 0: none.
  Nanos early_discard_every = 0;
  /// At most, between two touches of one vCPU.
  Nanos think = 1000;
  /// At most, between two writes at the source; 0: none.
  Nanos source_write_every = 0;
};

struct PrePageConfig {
  std::size_t rounds = 0;
  /// Of 100 pages that are not at the destination, how many are offered in a round.
  std::uint32_t offer_percent = 50;
  /// At most, between two rounds.
  Nanos round_every = 100'000;
  /// Begin a round only when everything that was offered before has been sent.
  bool wait_for_idle = false;
};

/// What the kernel does at the destination. `one_in` 0 means never.
struct KernelConfig {
  std::uint64_t retry_one_in = 0;
  std::uint64_t decline_collapse_one_in = 0;
  Nanos reclaim_every = 0;
  Nanos map_cost = 500;
};

/// When the two ends' threads run.
struct SchedulingConfig {
  Nanos poll_cost = 300;
  Nanos wake_latency = 2'000;
  Nanos longest_sleep = 200'000;
  /// Every so many polls the thread loses its core, for at most `longest_pause`.
  std::uint64_t pause_one_in = 0;
  Nanos longest_pause = 0;
  /// At every so many places in the middle of the source's claims, time passes.
  std::uint64_t preempt_one_in = 0;
  Nanos longest_preemption = 2'000;
};

/// Everything that decides how a simulated migration goes. The same values give the same run.
struct WorldConfig {
  std::uint64_t seed = 1;
  std::vector<RegionConfig> regions = {RegionConfig{}};
  SimLinkModel link;
  std::size_t push_channels = 1;
  std::size_t demand_channels = 1;
  std::uint32_t push_send_slots = 256;
  std::uint32_t demand_send_slots = 256;
  PushOptions push;
  /// A specification for MakePredictor, or "adversary" for one that says anything.
  std::string predictor = "bubbling";
  DestinationEngine::Config destination;
  std::uint64_t staging_bytes = 64u << 10;
  GuestConfig guest;
  PrePageConfig prepage;
  KernelConfig kernel;
  SchedulingConfig scheduling;
  /// The destination may be activated from then on.
  Nanos allow_activation_at = 0;
  /// Holes are told and the push begins this much after the switchover.
  Nanos start_push_after = 0;
  /// FetchRest is called this much after the switchover. Without a push it is called at the end in any case.
  std::optional<Nanos> fetch_rest_after;
  std::vector<SimFault> faults;
};

/// A world that is as nasty as the seed makes it.
WorldConfig RandomWorld(std::uint64_t seed);

/// For reports.
std::string Describe(const WorldConfig& config);

}  // namespace farfault::sim

#endif  // FARFAULT_LIB_SIM_WORLD_CONFIG_H_
